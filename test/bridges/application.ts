import type { Gates } from "./gates.ts";

/** A step that the application takes with its session. The body of a request is a list of steps. */
export type Step =
  | { readonly set: Readonly<Record<string, unknown>> }
  | { readonly delete: string }
  /** Stops until the test opens the gate of this name. */
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

/** The session of a request, with the calls of its framework and of the bridge. */
export interface SessionInHand {
  readonly token: string;
  /** The user in the session's record. */
  readonly user: string | null;
  entries(): Record<string, unknown>;
  set(key: string, value: unknown): void;
  delete(key: string): void;
  setMaxAge(maxAge: number): void;
  save(): Promise<void>;
  regenerate(): Promise<void>;
  /** Absent: the framework has none. */
  reload?(): Promise<void>;
  destroy(): Promise<void>;
  /** Gives the session a new token. Without a bridge: the framework's `regenerate`. */
  rotate(): Promise<void>;
  /** Resolves to the reason of a refused login, or to `null`. */
  logIn(userId: string, options: { readonly keep?: readonly string[] }): Promise<string | null>;
  logOut(): Promise<void>;
  logOutEverywhere(options: { readonly keepThis?: boolean }): Promise<unknown>;
}

export interface Application {
  /**
   * Takes the steps. Resolves to the session's data at the end. `null`: it has ended, or a login was refused.
   */
  run(session: SessionInHand, steps: readonly Step[]): Promise<Record<string, unknown> | null>;
}

/** The application that every framework runs. */
export function application(gates: Gates): Application {
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

  async function take(session: SessionInHand, step: Exclude<Step, "start to save">): Promise<"over" | void> {
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

  async function takeNamed(session: SessionInHand, step: Exclude<Step, string>): Promise<"over" | void> {
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

/** Returns the steps in a request's body, or none. */
export function stepsOf(body: unknown): readonly Step[] {
  return Array.isArray(body) ? (body as Step[]) : [];
}
