import type { Sessions } from "@tenure/core";
import { warnOfUnsafeCookie, warnOfUnsafeSecret, type WarningCode, warnOnce } from "@tenure/core/bridge";
import type { FrameworkContext } from "./framework.ts";

/** Tells of unsafe settings: warnings, each once, and keys that can be guessed. */
export interface UnsafeSettings {
  warnOfCookie(ctx: FrameworkContext | undefined): void;
  /**
   * For a key that is about to be used for the first time. A prefix makes a UUID longer and no harder to guess.
   *
   * @throws TypeError where `Sessions` wants more bits than a UUID has
   */
  refuseWeakKey(key: string): void;
}

export function unsafeSettings<Data extends object>(
  sessions: Sessions<Data>,
  silenced?: readonly WarningCode[],
): UnsafeSettings {
  const warn = warnOnce(silenced);
  let isFirst = true;

  return {
    warnOfCookie(ctx) {
      if (!isFirst || !ctx?.sessionOptions) return;
      isFirst = false;
      const { key, externalKey, secure = ctx.secure, httpOnly, sameSite, path, domain } = ctx.sessionOptions;
      // With an external key there may be no cookie at all.
      if (!externalKey) warnOfUnsafeCookie(warn, { name: key, secure, httpOnly, sameSite, path, domain });
      warnOfUnsafeSecret(warn, secretsOf(ctx.app?.keys));
    },

    refuseWeakKey(key) {
      const [uuid] = UUID_AT_END.exec(key) ?? [];
      if (uuid === undefined) return;
      warn(
        "TENURE_WEAK_ID",
        "koa-session makes session keys of 122 random bits, fewer than the 128 that OWASP ASVS asks for: hand over genid: store.genid",
      );
      sessions.assertStrong(uuid);
    },
  };
}

/** A Keygrip keeps its secrets to itself. */
function secretsOf(keys: unknown): string[] {
  return Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : [];
}

const UUID_AT_END = /[\da-f]{8}-[\da-f]{4}-[1-8][\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/i;
