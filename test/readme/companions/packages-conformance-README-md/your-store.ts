import { setTimeout as sleep } from "node:timers/promises";
import type { SessionRecord, SessionStore } from "@tenure/core";
import { assertChanges, assertNewSession, assertRevokeUser, instantInTheFuture } from "@tenure/core/store";

const TOMBSTONE_MINIMUM = 60 * 60 * 1000;

export class Backend {
  readonly sessions: Map<string, SessionRecord> = new Map();
  readonly tombstones: Map<string, number> = new Map(); // id -> the instant until which it is refused
  readonly fences: Map<string, number> = new Map(); // user -> the latest instant given to revokeUser
}

export function yourStore({ sessions, tombstones, fences }: Backend): SessionStore {
  const isAlive = (session: SessionRecord, now: number) => now < session.expiresAt;
  const live = (id: string, now: number) => [sessions.get(id)].find((one) => one && isAlive(one, now));
  const ofUser = (userId: string, now: number) =>
    [...sessions.values()].filter((one) => one.userId === userId && userId !== null && isAlive(one, now));
  const put = (session: Omit<SessionRecord, "expiresAt">) => {
    const expiresAt = Math.min(session.touchedAt + session.idle, session.endsAt);
    sessions.set(session.id, { ...session, expiresAt });
  };
  const end = (id: string, now: number) => {
    tombstones.set(id, Math.max(sessions.get(id)?.endsAt ?? 0, now + TOMBSTONE_MINIMUM));
    sessions.delete(id);
  };
  const fenceOf = (userId: string) => fences.get(userId) ?? -1;
  const login = (fence: number, given: number | undefined, now: number) => {
    if (given === undefined) return Math.max(now, fence + 1);
    const at = Math.min(given, now);
    return at <= fence || at <= now - TOMBSTONE_MINIMUM ? "refused" : at;
  };

  return {
    async create(session) {
      assertNewSession(session);
      const { id, userId, data, idle, lifetime } = session;
      const now = Date.now();
      if (live(id, now) || (tombstones.get(id) ?? 0) > now) return "taken";
      const authenticatedAt = userId === null ? null : login(fenceOf(userId), session.authenticatedAt, now);
      if (authenticatedAt === "refused") return "fenced";
      const times = { authenticatedAt, createdAt: now, touchedAt: now, idle, endsAt: now + lifetime };
      put({ id, userId, data, version: 1, ...times });
      return "created";
    },
    async update(id, changes) {
      assertChanges(changes);
      const now = Date.now();
      const old = live(id, now);
      if (!old) return "gone";
      const { data, userId = old.userId, idle = old.idle, lifetime, touch = true, ifVersion } = changes;
      if (ifVersion !== undefined && ifVersion !== old.version) return "conflict";
      let authenticatedAt = userId === null ? null : old.authenticatedAt;
      if (userId !== null && (userId !== old.userId || changes.authenticatedAt !== undefined)) {
        const at = login(userId === old.userId ? -1 : fenceOf(userId), changes.authenticatedAt, now);
        if (at === "refused") {
          end(id, now);
          return "fenced";
        }
        authenticatedAt = Math.max(at, old.authenticatedAt ?? 0);
      }
      const given = [data, changes.userId, lifetime, changes.authenticatedAt];
      const version = old.version + (given.some((one) => one !== undefined) ? 1 : 0);
      const touchedAt = touch ? now : old.touchedAt;
      const endsAt = lifetime === undefined ? old.endsAt : now + lifetime;
      put({ ...old, userId, authenticatedAt, data: data ?? old.data, version, idle, touchedAt, endsAt });
      return "updated";
    },
    async revoke(id) {
      const now = Date.now();
      const wasAlive = live(id, now) !== undefined;
      end(id, now);
      return wasAlive;
    },
    async revokeUser(userId, options = {}) {
      assertRevokeUser(userId, options);
      const now = Date.now();
      const { except, authenticatedUpTo: upTo = Math.max(now, fenceOf(userId) + 1) } = options;
      if (options.authenticatedUpTo !== undefined && upTo > now) throw instantInTheFuture();
      fences.set(userId, Math.max(upTo, fenceOf(userId)));
      const ending = ofUser(userId, now).filter((one) => one.id !== except && one.authenticatedAt! <= upTo);
      for (const { id } of ending) end(id, now);
      while (Date.now() <= upTo) await sleep(1);
      return ending.length;
    },
    read: async (id) => live(id, Date.now()) ?? null,
    listUser: async (userId) => ofUser(userId, Date.now()).toSorted((a, b) => a.createdAt - b.createdAt),
    async *scan() {
      for (const one of sessions.values()) if (isAlive(one, Date.now())) yield one;
    },
    now: async () => Date.now(),
  };
}
