import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type Demo, type DemoOptions, openStore, startDemo } from "@tenure/example-devices";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { describeInChromium, launchChromium } from "./chromium.ts";

const PHONE: BrowserContextOptions = {
  viewport: { width: 320, height: 640 },
  isMobile: true,
  hasTouch: true,
  userAgent:
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
};
const LAPTOP: BrowserContextOptions = {
  viewport: { width: 1280, height: 800 },
  userAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
};

let chromium: Promise<Browser> | undefined;
afterAll(async () => (await chromium)?.close());

/** Idle browsers, each with one page. Starting a browser takes as long as several page views. */
const idle: { readonly options: BrowserContextOptions; readonly page: Page }[] = [];
const inUse: typeof idle = [];

/**
 * Returns a browser without cookies. Each demo has its own address, so other state that the browser may have
 * kept does not matter.
 */
async function takeBrowser(options: BrowserContextOptions): Promise<Page> {
  const index = idle.findIndex((one) => one.options === options);
  const [found] = index === -1 ? [] : idle.splice(index, 1);
  const page = found?.page ?? (await newBrowser(options));
  inUse.push({ options, page });
  return page;
}

async function newBrowser(options: BrowserContextOptions): Promise<Page> {
  const context = await (await (chromium ??= launchChromium())).newContext(options);
  return context.newPage();
}

async function returnBrowsers(): Promise<void> {
  for (const one of inUse.splice(0)) {
    const context = one.page.context();
    for (const other of context.pages()) if (other !== one.page) await other.close();
    await one.page.goto("about:blank");
    await context.clearCookies();
    idle.push(one);
  }
}

describeInChromium.each(["express", "fastify", "koa"] as const)(
  "the demo on %s, in a real browser",
  (framework) => {
    let demo: Demo;
    /** Controls the slow request: `begun` resolves when it has begun, and resolving `finish` lets it end. */
    let begun: PromiseWithResolvers<void>;
    let finish: PromiseWithResolvers<void>;

    beforeEach(async () => {
      [begun, finish] = [Promise.withResolvers(), Promise.withResolvers()];
      demo = await start("15m");
    });
    afterEach(async () => {
      await returnBrowsers();
      await demo.close();
    });

    test("lists both devices of a person by name, with the current one first", async () => {
      const phone = await signIn(PHONE, "Ada");
      const laptop = await signIn(LAPTOP, "Ada");
      expect(await devices(laptop)).toEqual(["Firefox on Windows", "Chrome on Android"]);
      await phone.reload();
      expect(await devices(phone)).toEqual(["Chrome on Android", "Firefox on Windows"]);
      const here = phone.locator("li.device", { hasText: "This device" });
      expect(await here.locator("h2").allTextContents()).toEqual(["Chrome on Android"]);
      expect(await here.locator("dl").innerText()).toMatch(
        /First seen\s+(?:just now|\d+ seconds ago)\s+Last seen\s+now/u,
      );
    });

    test("after a logout everywhere, both browsers are logged out, even with a copy of the old cookie", async () => {
      const phone = await signIn(PHONE, "Ada");
      const laptop = await signIn(LAPTOP, "Ada");
      const before = await cookieOf(phone);
      await laptop.getByRole("button", { name: "Log out everywhere" }).click();
      await expectSignedOut(laptop);
      await phone.reload();
      await expectSignedOut(phone);
      expect(await phone.getByRole("status").textContent()).toContain("Your session has ended");

      await phone.context().addCookies([before]);
      await phone.goto(demo.url);
      await expectSignedOut(phone);
      await laptop.goto(demo.url);
      await expectSignedOut(laptop);
    });

    test("a request that is running during a logout everywhere does not bring its session back", async () => {
      const phone = await signIn(PHONE, "Ada");
      const laptop = await signIn(LAPTOP, "Ada");
      await phone.getByRole("link", { name: "The race", exact: true }).click();
      const [slow] = await Promise.all([
        phone.waitForRequest((request) => request.url().endsWith("/slow-note")),
        phone.getByRole("button", { name: "Save a note, slowly" }).click({ noWaitAfter: true }),
      ]);
      await begun.promise;
      await laptop.getByRole("button", { name: "Log out everywhere" }).click();
      await expectSignedOut(laptop);
      finish.resolve();
      expect((await slow.response())?.status()).toBe(303);
      await phone.waitForURL(`${demo.url}/`);
      await expectSignedOut(phone);
      await phone.goto(demo.url);
      await expectSignedOut(phone);
    });

    test("logs out this device and keeps the other logged in", async () => {
      const phone = await signIn(PHONE, "Ada");
      const laptop = await signIn(LAPTOP, "Ada");
      await laptop.getByRole("button", { name: "Log out this device" }).click();
      await expectSignedOut(laptop);
      await phone.reload();
      expect(await devices(phone)).toEqual(["Chrome on Android"]);
    });

    test("requires a new login before it logs out other devices, and then logs them out", async () => {
      await demo.close();
      demo = await start("1ms");
      const phone = await signIn(PHONE, "Ada");
      const tablet = await signIn(PHONE, "Ada");
      const laptop = await signIn(LAPTOP, "Ada");
      const before = await cookieOf(laptop);

      await laptop.getByRole("button", { name: "Log out Chrome on Android" }).last().click();
      await laptop.getByRole("heading", { name: "Is it still you?" }).waitFor();
      await laptop.getByRole("link", { name: "Back to your devices" }).click();
      expect(await devices(laptop)).toHaveLength(3);

      await laptop.getByRole("button", { name: "Log out Chrome on Android" }).last().click();
      await laptop.getByRole("button", { name: "Sign in again as Ada" }).click();
      expect(await laptop.getByRole("status").textContent()).toBe("That device is logged out.");
      expect(await devices(laptop)).toEqual(["Firefox on Windows", "Chrome on Android"]);
      expect((await cookieOf(laptop)).value).not.toBe(before.value);
      await phone.reload();
      await expectSignedOut(phone);

      await laptop.getByRole("button", { name: "Log out all others" }).click();
      expect(await layoutFaults(laptop)).toEqual([]);
      await laptop.getByRole("button", { name: "Sign in again as Ada" }).click();
      expect(await laptop.getByRole("status").textContent()).toBe("All other devices are logged out.");
      expect(await devices(laptop)).toEqual(["Firefox on Windows"]);
      await tablet.reload();
      await expectSignedOut(tablet);
    });

    test("signing in replaces the cookie, whether it was planted or belongs to an earlier login", async () => {
      const page = await visit(LAPTOP);
      const planted = { name: "tenure-demo", value: "s%3Aplanted.signature", url: demo.url };
      await page.context().addCookies([planted]);
      await page.getByRole("button", { name: "Sign in as Ada" }).click();
      const given = await cookieOf(page);
      expect(given.value).not.toBe(planted.value);
      await page.getByRole("link", { name: "Tenure" }).click();
      // Signing in again is a new login, so the token is new too.
      const again = await page.request.post(`${demo.url}/sign-in`, {
        form: { person: "bo" },
        headers: { origin: demo.url },
      });
      expect(again.ok()).toBe(true);
      expect((await cookieOf(page)).value).not.toBe(given.value);
    });

    test("refuses a form that was submitted from another origin, even though the browser sends the cookie", async () => {
      const phone = await signIn(PHONE, "Ada");
      // Another port is another origin but the same site, so SameSite does not block this request.
      const attacker = createServer((_request, response) => {
        response.setHeader("Content-Type", "text/html");
        response.end(
          `<form method="post" action="${demo.url}/log-out-everywhere"><button>Win</button></form>`,
        );
      }).listen(0, "127.0.0.1");
      await once(attacker, "listening");
      try {
        const page = await phone.context().newPage();
        await page.goto(`http://127.0.0.1:${(attacker.address() as AddressInfo).port}`);
        const [response] = await Promise.all([
          page.waitForResponse(`${demo.url}/log-out-everywhere`),
          page.getByRole("button").click(),
        ]);
        expect(response.status()).toBe(403);
        expect((await response.request().allHeaders())["cookie"]).toContain("tenure-demo=");
      } finally {
        attacker.closeAllConnections();
        attacker.close();
      }
      await phone.reload();
      expect(await devices(phone)).toEqual(["Chrome on Android"]);
    });

    // Tests of the pages themselves. What the pages do is tested on every framework over HTTP, with the demo
    // and with the bridges.
    // oxlint-disable-next-line vitest/no-conditional-tests -- the pages are the same on every framework
    if (framework === "express") {
      test("shows each device's user agent and network address", async () => {
        await signIn(PHONE, "Ada");
        const laptop = await signIn(LAPTOP, "Ada");
        const shown = await laptop.locator("li.device dl").allInnerTexts();
        const origins = shown.map((text) => text.replaceAll(/\s+/gu, " ").replace(/^.*(?=Address)/u, ""));
        expect(origins).toEqual(
          [LAPTOP, PHONE].map(({ userAgent }) => `Address 127.0.0.1 User agent ${userAgent}`),
        );
      });

      test("does not show another person's devices", async () => {
        await signIn(PHONE, "Ada");
        const bo = await signIn(LAPTOP, "Bo");
        expect(await devices(bo)).toEqual(["Firefox on Windows"]);
      });

      test("saves the slow note if nobody logs out while the request is running", async () => {
        const phone = await signIn(PHONE, "Ada");
        await phone.getByRole("link", { name: "The race", exact: true }).click();
        finish.resolve();
        await phone.getByRole("button", { name: "Save a note, slowly" }).click();
        expect(await phone.locator(".heading").innerText()).toContain("Signed in as Ada, note saved at");
      });

      test("logs out another device and keeps this one logged in", async () => {
        const phone = await signIn(PHONE, "Ada");
        const laptop = await signIn(LAPTOP, "Ada");
        await laptop.getByRole("button", { name: "Log out Chrome on Android" }).click();
        expect(await devices(laptop)).toEqual(["Firefox on Windows"]);
        await phone.reload();
        await expectSignedOut(phone);
      });

      test("logs out all other devices and keeps this one logged in", async () => {
        const phone = await signIn(PHONE, "Ada");
        const tablet = await signIn(PHONE, "Ada");
        const laptop = await signIn(LAPTOP, "Ada");
        await laptop.getByRole("button", { name: "Log out all others" }).click();
        expect(await devices(laptop)).toEqual(["Firefox on Windows"]);
        for (const page of [phone, tablet]) {
          await page.reload();
          await expectSignedOut(page);
        }
        await laptop.reload();
        expect(await devices(laptop)).toEqual(["Firefox on Windows"]);
      });

      test("logs out this device, or everywhere, without requiring a new login", async () => {
        await demo.close();
        demo = await start("1ms");
        const phone = await signIn(PHONE, "Ada");
        const laptop = await signIn(LAPTOP, "Ada");
        await phone.getByRole("button", { name: "Log out this device" }).click();
        await expectSignedOut(phone);
        await laptop.getByRole("button", { name: "Log out everywhere" }).click();
        await expectSignedOut(laptop);
        expect(await laptop.getByRole("status").textContent()).toContain("logged out everywhere");
      });

      test("shows in the race that MemoryStore's session comes back and Tenure's does not", async () => {
        const page = await visit(LAPTOP);
        await page.getByRole("link", { name: "The race", exact: true }).click();
        await page.getByRole("button", { name: "Run the race" }).click();
        const verdicts = page.getByRole("list", { name: "Who came back" }).getByRole("listitem");
        await verdicts.first().waitFor();
        expect((await verdicts.allInnerTexts()).map((text) => text.replaceAll(/\s+/gu, " "))).toEqual([
          "MemoryStore ✗ The session came back",
          "Tenure ✓ Logged out for good",
        ]);
        for (const [lane, last] of [
          ["MemoryStore", "signed in again"],
          ["Tenure", "nobody"],
        ] as const) {
          const steps = page.getByRole("region", { name: `${lane}, step by step` }).getByRole("listitem");
          expect(await steps.nth(3).innerText()).toContain(
            "The laptop logs out everywhere: 2 sessions ended",
          );
          expect(await steps.last().innerText()).toContain(`The phone asks who it is: ${last}`);
        }
      });

      test("works without JavaScript, and its pages contain none", async () => {
        const page = await signIn({ ...LAPTOP, javaScriptEnabled: false }, "Cleo");
        expect(await devices(page)).toEqual(["Firefox on Windows"]);
        for (const path of ["/", "/race"]) {
          await page.goto(demo.url + path);
          expect(await page.content()).not.toMatch(/<script|\son\w+=/iu);
        }
        await page.getByRole("button", { name: "Run the race" }).click();
        expect(await page.locator(".verdicts").innerText()).toContain("Logged out for good");
        await page.goto(demo.url);
        await page.getByRole("button", { name: "Log out everywhere" }).click();
        await expectSignedOut(page);
      });

      test("on a phone, no page scrolls sideways, and every button and navigation link is at least 44 pixels high", async () => {
        const page = await visit(PHONE);
        expect(await layoutFaults(page)).toEqual([]);
        await page.getByRole("button", { name: "Sign in as Ada" }).click();
        expect(await layoutFaults(page)).toEqual([]);
        await page.getByRole("link", { name: "The race", exact: true }).click();
        expect(await layoutFaults(page)).toEqual([]);
        await page.getByRole("button", { name: "Run the race" }).click();
        await page.getByRole("list", { name: "Who came back" }).waitFor();
        expect(await layoutFaults(page)).toEqual([]);
        await page.goto(`${demo.url}/nowhere`);
        expect(await layoutFaults(page)).toEqual([]);
      });

      test("sends no request to another host, and the browser's console stays empty", async () => {
        const page = await visit(LAPTOP);
        const origins = new Set<string>();
        const messages: string[] = [];
        page.on("request", (request) => origins.add(new URL(request.url()).origin));
        page.on("console", (message) => messages.push(message.text()));
        page.on("pageerror", (error) => messages.push(error.message));
        await page.reload();
        await page.getByRole("button", { name: "Sign in as Ada" }).click();
        await page.getByRole("link", { name: "The race", exact: true }).click();
        origins.delete("null"); // The icon, which is embedded in the page.
        expect([...origins]).toEqual([demo.url]);
        expect(messages).toEqual([]);
      });
    }

    /** @param recent how recent a login must be to end other devices */
    async function start(recent: NonNullable<DemoOptions["recent"]>): Promise<Demo> {
      const work = (): Promise<void> => {
        begun.resolve();
        return finish.promise;
      };
      return startDemo({ ...(await openStore("memory")), framework, port: 0, work, recent });
    }

    async function visit(options: BrowserContextOptions): Promise<Page> {
      const page = await takeBrowser(options);
      await page.goto(demo.url);
      return page;
    }

    async function signIn(options: BrowserContextOptions, name: string): Promise<Page> {
      const page = await visit(options);
      await page.getByRole("button", { name: `Sign in as ${name}` }).click();
      await page.getByRole("heading", { name: "Your devices" }).waitFor();
      return page;
    }
  },
);

function devices(page: Page): Promise<string[]> {
  return page.locator("li.device h2").allTextContents();
}

async function cookieOf(page: Page): Promise<{ name: string; value: string; domain: string; path: string }> {
  const cookies = await page.context().cookies();
  const cookie = cookies.find(({ name }) => name === "tenure-demo");
  if (!cookie) throw new Error("The browser has no session cookie.");
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Lax" });
  return { name: cookie.name, value: cookie.value, domain: cookie.domain, path: cookie.path };
}

async function expectSignedOut(page: Page): Promise<void> {
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
}

/** Finds out whether a page scrolls sideways, and which buttons and navigation links are too low for a finger. */
async function layoutFaults(page: Page): Promise<string[]> {
  // Wait for the style sheet.
  await page.waitForLoadState();
  const sideways = await page.evaluate<number>(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  const targets = await page.locator("button:visible, nav a").all();
  const measured = await Promise.all(
    targets.map(async (target) => ({ name: await target.innerText(), box: await target.boundingBox() })),
  );
  const tooLow = measured.filter(({ box }) => !box || box.height < 44).map(({ name }) => `too low: ${name}`);
  return sideways > 0 ? [`scrolls sideways by ${sideways} pixels`, ...tooLow] : tooLow;
}
