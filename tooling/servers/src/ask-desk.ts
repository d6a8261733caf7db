import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { Backend, Startable, Way } from "./way.ts";

export type Question = (
  | { readonly ask: "server"; readonly backend: Backend }
  | { readonly ask: "way"; readonly backend: Startable }
) & {
  /** The test file that asks and skips what it can't have. Absent: nothing is skipped for the answer. */
  readonly asker?: string;
};

/** A server that all test files share, or why there is none. */
export type Shared = { readonly url: string; readonly how: string } | { readonly why: string };

export type Answer = Shared | Way;

/** The variable that holds the desk's port. */
export const DESK = "TENURE_SERVERS_DESK";

/** Asks the desk of this test run (desk.ts), from any of its processes; `undefined`: there is no desk. */
export async function askDesk(question: Question): Promise<Answer | undefined> {
  const port = process.env[DESK];
  if (port === undefined) return undefined;
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`${JSON.stringify(question)}\n`);
  for await (const line of createInterface(socket)) {
    socket.end();
    const reply = JSON.parse(line) as { readonly value: Answer } | { readonly error: string };
    if ("error" in reply) throw new Error(reply.error);
    return reply.value;
  }
  throw new Error("The desk of the test servers closed without an answer.");
}
