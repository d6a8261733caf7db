import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, startDemo } from "@tenure/example-devices";
import { expect, test } from "vitest";
import { describeInChromium, launchChromium } from "./chromium.ts";

describeInChromium("the demo on a SQLite file, in a real browser", () => {
  test("after a restart, users are still logged in, and a user who was logged out still is", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tenure-demo-browser-"));
    process.env["TENURE_DEMO_FOLDER"] = folder;
    const chromium = await launchChromium();
    try {
      const [adasBrowser, bosBrowser] = [await chromium.newContext(), await chromium.newContext()];
      const first = await start();
      const [ada, bo] = [await adasBrowser.newPage(), await bosBrowser.newPage()];
      for (const [page, person] of [
        [ada, "Ada"],
        [bo, "Bo"],
      ] as const) {
        await page.goto(first.url);
        await page.getByRole("button", { name: `Sign in as ${person}` }).click();
        await page.getByRole("heading", { name: "Your devices" }).waitFor();
      }
      const cookies = await bosBrowser.cookies();
      await bo.getByRole("button", { name: "Log out everywhere" }).click();
      await bo.getByRole("heading", { name: "Who are you?" }).waitFor();
      await first.close();
      await expect(fetch(first.url)).rejects.toThrow("fetch failed");

      const second = await start();
      await ada.goto(second.url);
      await ada.getByRole("heading", { name: "Your devices" }).waitFor();
      expect(await ada.locator("li.device").count()).toBe(1);
      // A copy of the cookie does not bring the session back.
      await bosBrowser.addCookies(cookies);
      await bo.goto(second.url);
      await bo.getByRole("heading", { name: "Who are you?" }).waitFor();
      await second.close();
    } finally {
      await chromium.close();
      delete process.env["TENURE_DEMO_FOLDER"];
      rmSync(folder, { recursive: true });
    }
  });
});

async function start(): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const opened = await openStore("sqlite");
  const demo = await startDemo({ ...opened, port: 0 });
  return {
    url: demo.url,
    async close() {
      await demo.close();
      await opened.close();
    },
  };
}
