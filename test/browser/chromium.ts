import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { describe } from "vitest";

const executablePath = findChromium();

/**
 * vitest's `describe` if there is a Chromium on PATH. If not, it skips the tests with a message, or fails
 * with `REQUIRE_BROWSER=1`.
 */
export const describeInChromium: typeof describe =
  executablePath === undefined ? (describe.skip as typeof describe) : describe;

if (executablePath === undefined) {
  const message =
    "NO BROWSER: every test in a real browser is SKIPPED. Install a Chromium on PATH (Debian: apt-get install chromium).";
  if (process.env["REQUIRE_BROWSER"] === "1") throw new Error(message);
  console.warn(`\n*** ${message} ***\n`);
}

export async function launchChromium(): Promise<Browser> {
  if (executablePath === undefined) throw new Error("There is no Chromium on PATH.");
  return chromium.launch({
    executablePath,
    args: [
      // Tests may run as root, and Chromium has no sandbox for root.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

function findChromium(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
