import { type HeldSession, hiddenValue } from "@tenure/core/bridge";
import type { CookieAge } from "./cookie-age.ts";
import type { OwnData } from "./data.ts";

/** What one request loaded and saved. */
export interface RequestState<Data extends object> {
  /** By key. */
  readonly sessions: Map<string, Mark<Data>>;
  /** The one it loaded or saved last. */
  key: string | undefined;
  /** What `genid` made for it last. */
  minted: string | undefined;
  /** The key that it has ended itself, by a logout or a rotation. */
  ended: string | undefined;
  /** It destroyed somebody's session, which had died meanwhile. */
  hasLostSession: boolean;
  /** Of its last save. */
  age: CookieAge;
}

export interface Mark<Data extends object> {
  readonly held: HeldSession<Data>;
  /** The framework's own keys as they were loaded or last saved, and the age of the cookie then. */
  readonly own: OwnData;
  readonly age: CookieAge;
}

/** The states of requests by their contexts. Without one, as when the application calls the store itself, nothing is kept. */
export function requestStates<Data extends object>(): (ctx: object | undefined) => RequestState<Data> {
  const states = hiddenValue<RequestState<Data>>();
  return (ctx) => {
    const known = ctx && states.get(ctx);
    if (known) return known;
    const state: RequestState<Data> = {
      sessions: new Map(),
      key: undefined,
      minted: undefined,
      ended: undefined,
      hasLostSession: false,
      age: undefined,
    };
    if (ctx) states.set(ctx, state);
    return state;
  };
}
