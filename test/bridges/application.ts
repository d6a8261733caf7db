import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Gates } from "./gates.ts";

/** A step that the application takes with its session. The body of a request is a list of steps. */
export type Step =
  | { readonly set: Readonly<Record<string, unknown>> }
  | { readonly delete: string }
  /** Waits until the test opens the gate of this name. */
  | { readonly wait: string }
  | { readonly maxAge: number }
  | "save"
  /** Starts a save and continues without waiting for it. */
  | "start to save"
  /** The framework's own calls. */
  | "regenerate"
  | "reload"
  | "destroy"
  /** The bridge's own calls. */
  | { readonly logIn: string; readonly keep?: readonly string[] }
  | "rotate"
  | "log out"
  | "log out everywhere"
  | "log out everywhere else";

/** The session of one request: the same calls for every framework and its bridge. */
export interface SessionAdapter {
  readonly token: string;
  /** The user in the session's record. */
  readonly user: string | null;
  entries(): Record<string, unknown>;
  set(key: string, value: unknown): void;
  delete(key: string): void;
  setMaxAge(maxAge: number): void;
  save(): Promise<void>;
  regenerate(): Promise<void>;
  /** Absent: the framework has no such call. */
  reload?(): Promise<void>;
  destroy(): Promise<void>;
  /** The bridge's `rotate`. Without Tenure: the framework's `regenerate`. */
  rotate(): Promise<void>;
  /** Resolves to the reason why the login was refused, or to `null`. */
  logIn(userId: string, options: { readonly keep?: readonly string[] }): Promise<string | null>;
  logOut(): Promise<void>;
  logOutEverywhere(options: { readonly keepThis?: boolean }): Promise<unknown>;
}

export interface Application {
  /**
   * Takes the steps. Resolves to the session's data afterwards, or to `null` if the session has ended or a
   * login was refused.
   */
  run(session: SessionAdapter, steps: readonly Step[]): Promise<Record<string, unknown> | null>;
}

/** Creates the application that every framework runs. */
export function createApplication(gates: Gates): Application {
  return {
    async run(session, steps) {
      const saves: Promise<void>[] = [];
      let isOver = false;
      for (const step of steps) {
        if (step === "start to save") saves.push(session.save());
        else if ((await take(session, step)) === "over") isOver = true;
      }
      await Promise.all(saves);
      return isOver ? null : session.entries();
    },
  };

  async function take(session: SessionAdapter, step: Exclude<Step, "start to save">): Promise<"over" | void> {
    switch (step) {
      case "save":
        return session.save();
      case "regenerate":
        return session.regenerate();
      case "reload":
        return session.reload?.();
      case "rotate":
        return session.rotate();
      case "destroy":
        await session.destroy();
        return "over";
      case "log out":
        await session.logOut();
        return "over";
      case "log out everywhere":
        await session.logOutEverywhere({});
        return "over";
      case "log out everywhere else":
        await session.logOutEverywhere({ keepThis: true });
        return undefined;
      default:
        return takeNamed(session, step);
    }
  }

  async function takeNamed(session: SessionAdapter, step: Exclude<Step, string>): Promise<"over" | void> {
    if ("wait" in step) return gates.pass(step.wait);
    if ("maxAge" in step) return session.setMaxAge(step.maxAge);
    if ("delete" in step) return session.delete(step.delete);
    if ("logIn" in step) {
      const { logIn, ...options } = step;
      return (await session.logIn(logIn, options)) === null ? undefined : "over";
    }
    for (const [key, value] of Object.entries(step.set)) session.set(key, value);
    return undefined;
  }
}

/** Returns the steps in a request's parsed body, or none. */
export function stepsOf(body: unknown): readonly Step[] {
  return Array.isArray(body) ? (body as Step[]) : [];
}

/** Reads the steps from the body of a request that no middleware has parsed. */
export async function readSteps(request: Readable): Promise<readonly Step[]> {
  const body = await text(request);
  return body ? stepsOf(JSON.parse(body)) : [];
}
