import type { StoreUnderTest } from "@tenure/conformance";
import { type RedisClient, redisStore } from "../src/index.ts";

/** The conformance suite's store over a client that mixes up its replies. */
export function mixedUpOver(open: () => RedisClient): NonNullable<StoreUnderTest["mixedUp"]> {
  return (mixUp) => {
    const client = open();
    return redisStore(
      new Proxy(client, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name, target);
          if (typeof member !== "function") return member;
          if (mixUp.kind === "another") {
            return (...args: unknown[]): unknown => member.apply(target, mixUp.swapped(args));
          }
          if (name === "mget") return async (...keys: unknown[]) => keys.map(() => mixUp.value);
          return member.bind(target) as unknown;
        },
      }),
    );
  };
}
