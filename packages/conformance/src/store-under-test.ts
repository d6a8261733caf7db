import type { SessionStore } from "@tenure/core";

/** The store that the suite tests, opened with its default options. */
export interface StoreUnderTest {
  /** Precedes the name of each chapter, for a run that tests several stores. */
  readonly name?: string;
  /**
   * Opens the store. It is called twice, when the first test runs, and both stores must share one backend, as those of two processes do.
   * The backend may hold other sessions. What the suite leaves behind expires within a day.
   */
  readonly open: () => SessionStore | Promise<SessionStore>;
  /**
   * Opens the store on a backend that does not answer. At the given address nothing listens, or something accepts and never
   * answers. Give the client short timeouts. `null`: the store has no backend outside this process.
   */
  readonly unreachable: ((address: Address) => SessionStore | Promise<SessionStore>) | null;
  /**
   * Opens a store on the backend of `open`, over a client whose replies are mixed up as {@link MixUp} says. It stands for a
   * connection on which replies are off by one, a proxy that confuses clients, or a client with a bug. A `Proxy` around the client is enough. For ioredis, with
   * `read` and `listUser` sending `mget`, `hgetall` and `zrange`:
   *
   * ```ts
   * mixedUp: (mixUp) => {
   *   const client = new Redis(url);
   *   return redisStore(new Proxy(client, {
   *     get(target, name) {
   *       const member = Reflect.get(target, name, target);
   *       if (typeof member !== "function") return member;
   *       if (mixUp.kind === "another" && typeof name === "string") {
   *         return (...args) => member.apply(target, mixUp.swapped(args));
   *       }
   *       if (mixUp.kind === "value" && name === "mget") return async (...args) => args.map(() => mixUp.value);
   *       return member.bind(target);
   *     },
   *   }));
   * }
   * ```
   * For pg, wrap `query` (of the pool and of what `connect` resolves to). For mongodb, wrap the collection's `find`, `findOne` and
   * `aggregate`. `null`: the store's replies cannot be mixed up, because it is all in this process.
   */
  readonly mixedUp: ((mixUp: MixUp) => SessionStore | Promise<SessionStore>) | null;
}

/** How the replies of a client are mixed up. */
export type MixUp =
  | {
      /** The client asks for another session or user than it was told to, so that the reply holds another one's value. */
      readonly kind: "another";
      readonly asked: string;
      readonly sent: string;
      /** A copy of a command's arguments in which `asked` is replaced by `sent`, in strings and in the arrays and plain objects around them. */
      readonly swapped: <Arguments>(given: Arguments) => Arguments;
    }
  | {
      /**
       * The client resolves to `value` (a number, a text, an array or an object) in place of each stored session that a command reads: of each value of
       * an `MGET`, each row, each document. The server need not be asked.
       */
      readonly kind: "value";
      readonly value: unknown;
    };

/** A TCP address on the loopback interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}
