import type { SessionStore } from "@tenure/core";

/** The store that the suite tests, opened with its default options. */
export interface StoreUnderTest {
  /** Precedes the name of each chapter, for a run that tests several stores. */
  readonly name?: string;
  /**
   * Opens the store. Called twice, when the first test runs; both stores must share one backend, as those of
   * two processes do. The backend may hold other sessions. Sessions that the suite leaves behind expire
   * within a day.
   */
  readonly open: () => SessionStore | Promise<SessionStore>;
  /**
   * Opens the store on an unreachable backend: at the given address, nothing listens, or a server accepts
   * connections and never replies. Give the client short timeouts. `null`: the store has no backend outside
   * this process.
   */
  readonly unreachable: ((address: Address) => SessionStore | Promise<SessionStore>) | null;
  /**
   * Opens a store on the backend of `open`, over a client that mixes up replies as {@link MixUp} says, as if
   * the connection's replies were off by one, or a proxy confused two clients. The suite creates sessions
   * through `open`, and then calls this store's `read` and `listUser`. A `Proxy` around the client is enough.
   * For a store on ioredis whose reads are `get` and `mget`:
   *
   * ```ts
   * mixedUp: (mixUp) =>
   *   yourStore(
   *     new Proxy(new Redis(url), {
   *       get(client, name) {
   *         const member: unknown = Reflect.get(client, name, client);
   *         if (typeof member !== "function") return member;
   *         return (...given: unknown[]) => {
   *           if (mixUp.kind === "another") return member.apply(client, mixUp.swapped(given));
   *           if (name === "get") return Promise.resolve(mixUp.value);
   *           if (name === "mget") return Promise.resolve(given.flat().map(() => mixUp.value));
   *           return member.apply(client, given);
   *         };
   *       },
   *     }),
   *   ),
   * ```
   * For pg, wrap `query` of the pool and of the clients that `connect` resolves to. For mongodb, wrap the
   * collection: swap the filters, or let the cursor of `find` yield `value`. `null`: the store is entirely in
   * this process.
   */
  readonly mixedUp: ((mixUp: MixUp) => SessionStore | Promise<SessionStore>) | null;
}

/** How the replies of a client are mixed up. */
export type MixUp =
  | {
      /**
       * The client requests a different session or user than it was told to, so that the reply holds another
       * one's value.
       */
      readonly kind: "another";
      readonly asked: string;
      readonly sent: string;
      /**
       * A copy of a command's arguments in which `asked` is replaced by `sent`, in strings and in the arrays
       * and plain objects around them.
       */
      readonly swapped: <Arguments>(given: Arguments) => Arguments;
    }
  | {
      /**
       * The client resolves to `value` (a number, a string, an array or an object) in place of each stored
       * session that a command reads: each value of an `MGET`, each row, each document. It need not call the
       * server.
       */
      readonly kind: "value";
      readonly value: unknown;
    };

/** A TCP address on the loopback interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}
