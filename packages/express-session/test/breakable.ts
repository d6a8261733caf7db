import type { SessionStore } from "@tenure/core";

/** A store whose methods fail on demand, as one whose server is gone. */
export function breakable(store: SessionStore): {
  readonly store: SessionStore;
  /** From now on. `undefined`: it is back. `touch` stands for updates of nothing but the idle timeout. */
  readonly fail: (methods: readonly (keyof SessionStore | "touch")[] | undefined) => void;
} {
  let failing: ReadonlySet<string> = new Set();
  const call = async <Answer>(method: string, invoke: () => Promise<Answer>): Promise<Answer> => {
    if (failing.has(method)) {
      // What a client answers whose unix socket is gone, which express-session takes for "no session".
      throw Object.assign(new Error("connect ENOENT /run/redis.sock"), { code: "ENOENT" });
    }
    return invoke();
  };
  return {
    fail: (methods = []) => {
      failing = new Set(methods);
    },
    store: {
      create: (session) => call("create", () => store.create(session)),
      read: (id) => call("read", () => store.read(id)),
      update: (id, changes) =>
        call(changes.data === undefined ? "touch" : "update", () => store.update(id, changes)),
      revoke: (id) => call("revoke", () => store.revoke(id)),
      revokeUser: (userId, options) => call("revokeUser", () => store.revokeUser(userId, options)),
      listUser: (userId) => call("listUser", () => store.listUser(userId)),
      scan: () => store.scan(),
      now: () => call("now", () => store.now()),
    },
  };
}
