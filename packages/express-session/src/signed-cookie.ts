import { isSignedWith } from "@tenure/core/bridge";

/** A session cookie as it goes over the wire: `name=s:<token>.<signature>`, percent-encoded. */
export interface SignedCookie {
  readonly name: string;
  /** Whether it was signed with this secret. */
  readonly isSignedWith: (secret: string) => boolean;
}

/**
 * Finds the cookie of a token among `name=value` pairs: of a `Cookie` header, or the beginnings of `Set-Cookie` ones. A store is
 * told neither the cookie's name nor the secret; this is where they show.
 */
export function findSignedCookie(pairs: readonly string[], token: string): SignedCookie | undefined {
  const prefix = `s:${token}.`;
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const value = decoded(pair.slice(equals + 1));
    if (equals < 1 || !value.startsWith(prefix)) continue;
    const signature = value.slice(prefix.length);
    return {
      name: pair.slice(0, equals).trim(),
      isSignedWith: (secret) => isSignedWith(secret, token, signature),
    };
  }
  return undefined;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value.split(";", 1)[0]?.trim() ?? "");
  } catch {
    return "";
  }
}
