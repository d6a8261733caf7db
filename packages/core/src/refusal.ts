import { publish } from "./events.ts";

/** What a refusal or a failure is about. */
export interface About {
  readonly id: string | null;
  readonly userId: string | null;
}

export const NOBODY: About = { id: null, userId: null };

/** The error for bad input, told as an event. */
export function refusal(why: string, about: About = NOBODY): TypeError {
  publish("refused", { id: about.id, userId: about.userId, why });
  return new TypeError(why);
}

/** Tells the refusals of a check as events. For checks whose messages hold nothing of what they were given. */
export function refusing<Answer>(about: About, check: () => Answer): Answer {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError)
      publish("refused", { id: about.id, userId: about.userId, why: error.message });
    throw error;
  }
}
