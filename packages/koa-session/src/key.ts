/**
 * The token in a session key. A `genid` of the application may put text before ours: `` (ctx) => `shop:${store.genid(ctx)}` ``. What does not
 * end with a token of ours is returned as it is.
 */
export function tokenIn(key: string): string {
  return OWN_TOKEN.exec(key)?.[0] ?? key;
}

/** An id of 22 characters, or of 43 where a framework's own token began the session, and a secret. */
const OWN_TOKEN = /(?:(?<![\w-])[\w-]{43}|[\w-]{22})\.[\w-]{43}$/;
