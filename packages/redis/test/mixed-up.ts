import type { MixUp } from "@tenure/conformance";

/** Returns a client that mixes up its replies, as the conformance suite asks. */
export function mixedUp<Client extends object>(client: Client, mixUp: MixUp): Client {
  return new Proxy(client, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      // A pool and a Cluster of node-redis lend their connections.
      if (name === "execute") {
        return (use: (lent: object) => unknown): unknown =>
          member.call(target, (lent: object) => use(mixedUp(lent, mixUp)));
      }
      if (name === "nodeClient") {
        return async (node: unknown) => mixedUp((await member.call(target, node)) as object, mixUp);
      }
      if (mixUp.kind === "another")
        return (...args: unknown[]): unknown => member.apply(target, mixUp.swapped(args));
      if (name === "mget") return async (...keys: unknown[]) => keys.map(() => mixUp.value);
      if (name === "sendCommand") {
        return (...args: unknown[]): unknown => {
          const command = args.find((arg) => Array.isArray(arg)) as readonly string[];
          if (command[0] !== "MGET") return member.apply(target, args);
          return Promise.resolve(command.slice(1).map(() => mixUp.value));
        };
      }
      return member.bind(target) as unknown;
    },
  });
}
