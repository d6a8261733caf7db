import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { signIn } from "./test-demo.ts";

const started: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

test("prints its address on the loopback, serves the demo there, and exits on SIGTERM", async () => {
  const demo = start("--port", "0");
  const url = await demo.address();
  const page = await fetch(url);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain("Sign in");
  expect(await demo.endedBy("SIGTERM")).toEqual([0, null]);
  await expect(fetch(url)).rejects.toThrow("fetch failed");
});

test("exits on SIGINT (Ctrl+C), even while a request is running", async () => {
  const demo = start("--port", "0");
  const url = await demo.address();
  const cookie = await signIn(url);
  const slow = fetch(`${url}/slow-note`, { method: "POST", headers: { origin: url, cookie } }).then(
    () => "response",
    () => "connection cut",
  );
  // Once a later page view has its response, the slow request has arrived.
  await fetch(url, { headers: { cookie } });
  expect(await demo.endedBy("SIGINT")).toEqual([0, null]);
  expect(await slow).toBe("connection cut");
});

test.each([
  ["express", /^tenure-demo=s%3A[^;]+$/u],
  ["fastify", /^tenure-demo=(?!s%3A)[^;]+$/u],
  ["koa", /^tenure-demo=[^;]+; tenure-demo\.sig=[^;]+$/u],
])("with --framework %s, serves the demo with that framework's cookie", async (framework, cookieFormat) => {
  const url = await start("--framework", framework, "--port", "0").address();
  const cookie = await signIn(url);
  expect(cookie).toMatch(cookieFormat);
  expect(await (await fetch(url, { headers: { cookie } })).text()).toContain("<h1>Your devices</h1>");
});

test("without --port, listens on a free port if port 3000 is taken, and prints it", async () => {
  // If another process has port 3000, it is taken in any case.
  const blocker = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    blocker.once("error", () => resolve(false)).listen(3000, "127.0.0.1", () => resolve(true));
  });
  try {
    const url = await start().address();
    expect(url).not.toBe("http://127.0.0.1:3000");
    expect((await fetch(url)).status).toBe(200);
  } finally {
    if (listens) blocker.close();
  }
});

test("with --port, exits with an error if that port is taken", async () => {
  const blocker = createServer().listen(0, "127.0.0.1");
  await once(blocker, "listening");
  const address = blocker.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  expect(await start("--port", port).failure()).toContain(`127.0.0.1:${port}: choose another --port`);
  blocker.close();
});

test.each([
  ["--port", "eighty"],
  ["--port", "70000"],
  ["--port", ""],
  ["--store", "mysql://root:hunter2@127.0.0.1/test"],
  ["--stroe", "memory"],
  ["--framework", "rails"],
])(
  "exits at %s %s with an error that names the option, without a stack trace or a password",
  async (...args) => {
    const message = await start(...args).failure();
    expect(message).toContain(args[0]);
    expect(message).not.toMatch(/\n\s+at /u);
    expect(message).not.toContain("hunter2");
  },
);

test("prints its usage with --help", async () => {
  const demo = start("--help");
  expect(await demo.ended).toEqual([0, null]);
  expect(demo.output()).toContain("Usage: npx -y pnpm@12 demo");
});

interface Started {
  /** Resolves to exit code and signal once all output has been read. */
  readonly ended: Promise<unknown[]>;
  output(): string;
  /** Resolves to the address that it prints. */
  address(): Promise<string>;
  /** Resolves to its error output when it exits with code 1. */
  failure(): Promise<string>;
  /** Sends a signal. Resolves to exit code and signal once it has ended. */
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
