import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Sessions } from "@tenure/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { databases, type OpenDatabase } from "../bridges/databases.ts";

const protect = { keys: [{ id: "one", key: Buffer.alloc(32, 1) }] };

let unreadable: unknown[];
const onUnreadable = (event: unknown): void => void unreadable.push(event);
beforeEach(() => {
  unreadable = [];
  subscribe("tenure:unreadable", onUnreadable);
});
afterEach(() => void unsubscribe("tenure:unreadable", onUnreadable));

interface Login {
  readonly token: string;
  readonly id: string;
  readonly userId: string;
}

async function logIn(sessions: Sessions, data: object): Promise<Login> {
  const userId = randomUUID();
  const { token } = await sessions.create({ ...data });
  const login = await sessions.logIn(token, userId);
  return { token: login.token!, id: login.session!.id, userId };
}

/** In these tests, an attacker can write to the database but has no key. */
for (const database of databases) {
  database.describe(`with protect, on ${database.name}`, () => {
    const open = async (
      use: (sessions: Sessions, database: OpenDatabase) => Promise<void>,
    ): Promise<void> => {
      const opened = await database.open();
      try {
        await use(new Sessions({ store: opened.store, protect }), opened);
      } finally {
        await opened.close();
      }
    };

    test("if the data of two sessions are swapped, both are unreadable, are not overwritten, and can be ended (ASVS 11.3.3)", () =>
      open(async (sessions, { store, setData }) => {
        const [ada, eve] = [await logIn(sessions, { a: 1 }), await logIn(sessions, { a: 2 })];
        const [adas, eves] = [(await store.read(ada.id))!.data, (await store.read(eve.id))!.data];
        await setData(ada.id, eves);
        await setData(eve.id, adas);
        for (const one of [ada, eve]) {
          expect(await sessions.get(one.token)).toBeNull();
          expect(await sessions.listForUser(one.userId)).toMatchObject([{ id: one.id, data: null }]);
        }
        // Nor does the secret of the session from which the data were copied give access.
        expect(await sessions.get(`${ada.id}.${eve.token.split(".")[1]}`)).toBeNull();
        expect((await store.read(ada.id))!.data).toBe(eves);
        expect(unreadable).toContainEqual(expect.objectContaining({ id: ada.id, keyId: "one" }));
        expect(await sessions.revokeById(ada.id)).toBe(true);
        expect(await sessions.revokeAllForUser(eve.userId)).toBe(1);
      }));

    test("if the digests of two sessions are swapped, no token logs in (ASVS 11.3.3)", () =>
      open(async (sessions, { store, setData }) => {
        const [ada, eve] = [await logIn(sessions, {}), await logIn(sessions, {})];
        const [adas, eves] = [(await store.read(ada.id))!.data, (await store.read(eve.id))!.data];
        await setData(ada.id, withDigestOf(adas, eves));
        await setData(eve.id, withDigestOf(eves, adas));
        for (const [row, secret] of [
          [ada, ada],
          [ada, eve],
          [eve, ada],
          [eve, eve],
        ] as const) {
          expect(await sessions.get(`${row.id}.${secret.token.split(".")[1]}`)).toBeNull();
        }
        await setData(ada.id, adas);
        expect(await sessions.get(ada.token)).not.toBeNull();
      }));

    test("a rollback of a row's data is not detected, so the older data and token are valid again", () =>
      open(async (sessions, { store, setData }) => {
        const ada = await logIn(sessions, { role: "admin" });
        const before = (await store.read(ada.id))!.data;
        const session = (await sessions.get(ada.token))!;
        await sessions.save(session, { role: "none" });
        const rotated = (await sessions.rotate(ada.token)) as { readonly token: string };
        await setData(ada.id, before);
        expect((await sessions.get(ada.token))?.data).toEqual({ role: "admin" });
        expect(await sessions.get(rotated.token)).toBeNull();
      }));

    test("a revoked session stays revoked after a rollback of its row's data", () =>
      open(async (sessions, { store, setData }) => {
        const ada = await logIn(sessions, {});
        const before = (await store.read(ada.id))!.data;
        await sessions.revoke(ada.token);
        // This replaces only the data. SECURITY.md says what an attacker can do who can write the whole row.
        await setData(ada.id, before);
        expect(await sessions.get(ada.token)).toBeNull();
      }));
  });
}

function withDigestOf(data: string, other: string): string {
  return data.slice(0, 43) + other.slice(43, 86) + data.slice(86);
}
