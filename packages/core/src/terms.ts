import { type Duration, parseDuration } from "./duration.ts";
import type { Encoding } from "./encoding.ts";
import type { Policy } from "./policy.ts";
import { type About, NOBODY, refusing } from "./refusal.ts";
import { type UserId, userIdOf, userIdOrNull } from "./user.ts";

/**
 * Whose a session is and how long it lives, from what a call is given and what the policy says. Wrong input is a TypeError,
 * told as an event.
 */
export class Terms<Data extends object> {
  readonly #policy: Policy<Data>;
  readonly #encoding: Encoding<Data>;

  constructor(policy: Policy<Data>, encoding: Encoding<Data>) {
    this.#policy = policy;
    this.#encoding = encoding;
  }

  userId(given: UserId): string {
    return refusing(NOBODY, () => userIdOf(given));
  }

  /**
   * `undefined`: leave it as it is.
   *
   * @param text the session's data, encoded
   */
  userIdFor(given: UserId | null | undefined, text: string, about: About): string | null | undefined {
    const { userId: tell } = this.#policy;
    if (given === undefined && !tell) return undefined;
    const user = given === undefined ? tell?.(this.#encoding.decode(text, about)) : given;
    return refusing(about, () => userIdOrNull(user));
  }

  /** Milliseconds. `undefined`: none was given. */
  idle(given: Duration | undefined, about: About): number | undefined {
    return this.#limit("idle", given, this.#policy.idleTimeout, about);
  }

  /** Milliseconds. `undefined`: none was given. */
  lifetime(given: Duration | undefined, about: About): number | undefined {
    return this.#limit("lifetime", given, this.#policy.lifetime, about);
  }

  #limit(name: string, given: Duration | undefined, policy: number, about: About): number | undefined {
    if (given === undefined) return undefined;
    const duration = refusing(about, () => parseDuration(name, given));
    return this.#policy.mayLengthen ? duration : Math.min(duration, policy);
  }
}
