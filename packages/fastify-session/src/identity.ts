import type { FrameworkSession } from "./framework.ts";

/**
 * Data that tells which Session @fastify/session makes of it, before the application gets that Session.
 *
 * The framework copies enumerable keys of what a store's `get` answers into its Session, and then turns the Session into JSON
 * for its hash. A `toJSON` among those keys is thus called once with the Session as `this`, in every version from 10.0.0 to
 * 11.1.3; it takes itself away again. Symbols and non-enumerable properties don't arrive.
 */
export function tellingIdentity(data: object, tell: (session: FrameworkSession) => void): object {
  return {
    ...data,
    toJSON(this: FrameworkSession & { toJSON?: unknown }): unknown {
      delete this.toJSON;
      tell(this);
      return this;
    },
  };
}
