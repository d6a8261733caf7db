import type { Sessions } from "@tenure/core";
import type { Gates } from "./gates.ts";

/** What the application does with its session, one after the other: the body of a request. */
export type Step =
  | { readonly set: Readonly<Record<string, unknown>> }
  | { readonly delete: string }
  /** Stops until the test opens the gate of this name. */
  | { readonly wait: string }
  | { readonly maxAge: number }
  | "save"
  /** Goes on before the save is done. */
  | "start to save"
  /** A new token by the framework's own means. */
  | "regenerate"
  /** A new token by the bridge's means, where it has any of its own. */
  | "rotate"
  | "destroy"
  | "log out everywhere"
  | "log out everywhere else";

/** A session in its framework's own manner. */
export interface SessionInHand {
  readonly token: string;
  entries(): Record<string, unknown>;
  set(key: string, value: unknown): void;
  delete(key: string): void;
  setMaxAge(maxAge: number): void;
  save(): Promise<void>;
  regenerate(): Promise<void>;
  rotate(): Promise<void>;
  destroy(): Promise<void>;
}

export interface Application {
  /** What the session holds at the end, `null` if it was destroyed. */
  run(session: SessionInHand, steps: readonly Step[]): Promise<Record<string, unknown> | null>;
}

/** One application for every framework. */
export function application(sessions: Sessions, gates: Gates): Application {
  return {
    async run(session, steps) {
      const saves: Promise<void>[] = [];
      for (const step of steps) {
        if (step === "start to save") saves.push(session.save());
        else await take(session, step);
      }
      await Promise.all(saves);
      return steps.includes("destroy") ? null : session.entries();
    },
  };

  async function take(session: SessionInHand, step: Exclude<Step, "start to save">): Promise<void> {
    if (step === "save") return session.save();
    if (step === "regenerate") return session.regenerate();
    if (step === "rotate") return session.rotate();
    if (step === "destroy") return session.destroy();
    if (step === "log out everywhere") return logOutEverywhere(session, {});
    if (step === "log out everywhere else") return logOutEverywhere(session, { exceptToken: session.token });
    if ("wait" in step) return gates.pass(step.wait);
    if ("maxAge" in step) return session.setMaxAge(step.maxAge);
    if ("delete" in step) return session.delete(step.delete);
    for (const [key, value] of Object.entries(step.set)) session.set(key, value);
    return undefined;
  }

  async function logOutEverywhere(session: SessionInHand, options: { exceptToken?: string }): Promise<void> {
    await sessions.revokeAllForUser(String(session.entries()["userId"]), options);
  }
}

/** What a request brought: its steps, or none. */
export function stepsOf(body: unknown): readonly Step[] {
  return Array.isArray(body) ? (body as Step[]) : [];
}
