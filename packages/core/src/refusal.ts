import { publish } from "./events.ts";

/** The session that a refusal or a failure is about. */
export interface About {
  readonly id: string | null;
  readonly userId: string | null;
}

export const NOBODY: About = { id: null, userId: null };

/** The error for bad input, published as an event. */
export function refusal(why: string, about: About = NOBODY): TypeError {
  publish("refused", { id: about.id, userId: about.userId, why });
  return new TypeError(why);
}

/** Publishes the refusals of a check. For checks whose messages hold nothing of what they were given. */
export function refusing<Result>(about: About, check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError)
      publish("refused", { id: about.id, userId: about.userId, why: error.message });
    throw error;
  }
}
