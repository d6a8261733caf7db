import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { signIn } from "./visit.ts";

const started: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

test("prints its address on the loopback, serves there, and ends on SIGTERM", async () => {
  const demo = start("--port", "0");
  const url = await demo.address();
  const page = await fetch(url);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain("Sign in");
  expect(await demo.endedBy("SIGTERM")).toEqual([0, null]);
  await expect(fetch(url)).rejects.toThrow("fetch failed");
});

test("ends on SIGINT, as Ctrl+C sends it, also while a request is running", async () => {
  const demo = start("--port", "0");
  const url = await demo.address();
  const cookie = await signIn(url);
  const slow = fetch(`${url}/slow-note`, { method: "POST", headers: { origin: url, cookie } }).then(
    () => "answered",
    () => "cut",
  );
  // Once a later page view has its response, the slow request has arrived.
  await fetch(url, { headers: { cookie } });
  expect(await demo.endedBy("SIGINT")).toEqual([0, null]);
  expect(await slow).toBe("cut");
});

test.each([
  ["express", /^tenure-demo=s%3A[^;]+$/u],
  ["fastify", /^tenure-demo=(?!s%3A)[^;]+$/u],
  ["koa", /^tenure-demo=[^;]+; tenure-demo\.sig=[^;]+$/u],
])("serves the demo on %s, whose cookie looks different from the others'", async (framework, itsCookie) => {
  const url = await start("--framework", framework, "--port", "0").address();
  const cookie = await signIn(url);
  expect(cookie).toMatch(itsCookie);
  expect(await (await fetch(url, { headers: { cookie } })).text()).toContain("<h1>Your devices</h1>");
});

test("takes a free port where its default is taken, and says which", async () => {
  const squatter = createServer();
  const mine = await new Promise<boolean>((resolve) => {
    squatter.once("error", () => resolve(false)).listen(3000, "127.0.0.1", () => resolve(true));
  });
  try {
    const url = await start().address();
    expect(url).not.toBe("http://127.0.0.1:3000");
    expect((await fetch(url)).status).toBe(200);
  } finally {
    if (mine) squatter.close();
  }
});

test("refuses a port that is taken where it was asked for that one", async () => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await once(squatter, "listening");
  const address = squatter.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  expect(await start("--port", port).failure()).toContain(`127.0.0.1:${port}: choose another --port`);
  squatter.close();
});

test.each([
  ["--port", "eighty"],
  ["--port", "70000"],
  ["--port", ""],
  ["--store", "mysql://root:hunter2@127.0.0.1/test"],
  ["--stroe", "memory"],
  ["--framework", "rails"],
])("refuses %s %s with one clear message and no stack", async (...args) => {
  const message = await start(...args).failure();
  expect(message).toContain(args[0]);
  expect(message).not.toMatch(/\n\s+at /u);
  expect(message).not.toContain("hunter2");
});

test("explains itself when asked", async () => {
  const demo = start("--help");
  expect(await demo.ended).toEqual([0, null]);
  expect(demo.output()).toContain("Usage: npx -y pnpm@12 demo");
});

interface Started {
  /** Resolves to exit code and signal once all output has been read. */
  readonly ended: Promise<unknown[]>;
  output(): string;
  /** The address that it printed. */
  address(): Promise<string>;
  /** Resolves to its error output when it ends with exit code 1. */
  failure(): Promise<string>;
  /** Sends a signal. Resolves to exit code and signal of its end. */
  endedBy(signal: NodeJS.Signals): Promise<unknown[]>;
}

/** Runs the same program as the demo command. */
function start(...args: string[]): Started {
  const cwd = join(import.meta.dirname, "..");
  const child = spawn(process.execPath, ["--conditions=@tenure/source", "src/main.ts", ...args], { cwd });
  started.push(child);
  const ended = once(child, "close");
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  return {
    ended,
    output: () => output,
    async address() {
      for (;;) {
        const url = /^Tenure demo: (http:\/\/127\.0\.0\.1:\d+)$/mu.exec(output)?.[1];
        if (url !== undefined) return url;
        const more = await Promise.race([once(child.stdout, "data"), ended.then(() => undefined)]);
        if (more === undefined) throw new Error(`The demo ended: ${errors}`);
      }
    },
    async failure() {
      expect(await ended).toEqual([1, null]);
      return errors;
    },
    endedBy(signal) {
      child.kill(signal);
      return ended;
    },
  };
}
