import { publish } from "./events.ts";
import { assertKnownOptions, assertTouch } from "./store/validate.ts";

/** The session that an event is about. */
export interface About {
  readonly id: string | null;
  readonly userId: string | null;
}

/** Publishes that bad input was refused, and returns the error. */
export function refusal(why: string, { id = null, userId = null }: Partial<About> = {}): TypeError {
  publish("refused", { id, userId, why });
  return new TypeError(why);
}

/** Publishes the TypeErrors of a check. Only for checks whose messages do not quote their input. */
export function refusing<Result>({ id = null, userId = null }: Partial<About>, check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError) publish("refused", { id, userId, why: error.message });
    throw error;
  }
}

/**
 * Checks the options of a call. Without this, `revokeById(id, { user })` would end anybody's session.
 *
 * @throws TypeError naming an unknown option
 */
export function assertCallOptions(options: unknown, known: readonly string[]): void {
  refusing({}, () => assertKnownOptions(options, known));
}

/**
 * Checks the options of a call that is a use unless it gives `touch: false`.
 *
 * @throws TypeError for an unknown option, and for a `touch` that is not a boolean
 */
export function assertUseOptions(options: { readonly touch?: unknown }): void {
  assertCallOptions(options, ["touch"]);
  refusing({}, () => assertTouch(options.touch));
}
