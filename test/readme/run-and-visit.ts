import { fork, type ForkOptions } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import type { Program } from "./programs.ts";
import type { Message } from "./run.ts";
import { visit } from "./visit.ts";

/**
 * Runs a program of a README in its own process, visits it if it serves HTTP, and ends it.
 *
 * @param path the program's file
 * @throws Error with the program's output, if the program or a visit fails
 */
export async function runAndVisit(path: string, program: Program, options: ForkOptions): Promise<void> {
  const stdio: ForkOptions["stdio"] = ["ignore", "pipe", "pipe", "ipc"];
  const child = fork(join(import.meta.dirname, "run.ts"), [path], { ...options, stdio });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const events: Extract<Message, { kind: "event" }>[] = [];
  const loaded = Promise.withResolvers<number | null>();
  child.on("message", (message: Message) => {
    if (message.kind === "event") events.push(message);
    else loaded.resolve(message.port);
  });
  const ended = once(child, "exit");
  try {
    const first = await Promise.race([loaded.promise, ended]);
    if (Array.isArray(first)) expect(first).toEqual(SUCCESS);
    expect(typeof first === "number", "whether the program serves HTTP").toBe(
      /^(?:export )?const app\b|\.listen\(/mu.test(program.text),
    );
    if (typeof first === "number") await visit(`http://127.0.0.1:${first}`, program.text, events);
    // Work that is still running may fail.
    const late = await Promise.race([ended, new Promise((resolve) => void setTimeout(resolve, 200))]);
    expect(late ?? SUCCESS).toEqual(SUCCESS);
  } catch (error) {
    throw new Error(`${program.readme}:${program.line}\n${output}`, { cause: error });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** Exit code and signal. */
const SUCCESS = [0, null];
