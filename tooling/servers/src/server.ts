import { describe, expect } from "vitest";
import { askDesk } from "./ask-desk.ts";
import type { Backend, Startable } from "./way.ts";

/** A server that all test files of a run share. Use ids and names of your own, and truncate nothing. */
export interface Server {
  /** Its address. Where there is no server: one that nothing listens on. */
  readonly url: string;
  /** What it is and how it was had; where there is none, why. */
  readonly how: string;
  /** vitest's `describe`, or `describe.skip` where there is no server. */
  readonly describe: typeof describe;
}

/** The shared server of this run, started when the first test file asks. Rejects where `REQUIRE_BACKENDS` wants it in vain. */
export async function server(backend: Backend): Promise<Server> {
  const found = await ask({ ask: "server", backend });
  if ("url" in found) return { url: found.url, how: found.how, describe };
  return { url: NOBODY[backend], how: `no ${backend}: ${whyOf(found)}`, describe: skipped() };
}

/** Whether a test file can start servers of its own, with `startRedis()` and its like: its `describe` skips where it can't. */
export async function canStart(backend: Startable): Promise<Omit<Server, "url">> {
  const found = await ask({ ask: "way", backend });
  if ("by" in found && found.by !== "nothing")
    return { how: "image" in found ? found.image : found.command, describe };
  return { how: `no ${backend}: ${whyOf(found)}`, describe: skipped() };
}

const NOBODY: Record<Backend, string> = {
  redis: "redis://127.0.0.1:1",
  postgres: "postgres://nobody@127.0.0.1:1/nothing",
  mongo: "mongodb://127.0.0.1:1",
  "mongo-transactions": "mongodb://127.0.0.1:1",
};

async function ask(question: { ask: "server"; backend: Backend } | { ask: "way"; backend: Startable }) {
  const answer = await askDesk({ ...question, asker: expect.getState().testPath ?? "a test file" });
  if (answer !== undefined) return answer;
  throw new Error(
    'This project has no test servers: add "@tenure/servers": "workspace:*" to its devDependencies.',
  );
}

function whyOf(answer: object): string {
  return "why" in answer ? String(answer.why) : "";
}

/** `describe.skip` takes the same calls; its own `skip`, `each` and the like are never needed on it. */
function skipped(): typeof describe {
  return describe.skip as typeof describe;
}
