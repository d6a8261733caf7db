import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import type { Scene } from "../scene.ts";

/** How many commands and rows a call costs is counted at the server. Here: no number of sessions is too large to work. */
export const cost: Chapter = {
  title: "11. Cost",
  sentences: {
    "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)": async (scene) => {
      const { store, other, user } = scene;
      const userId = user();
      const { sessions, unsure } = await many(scene, userId, MANY);
      const listed = await store.listUser(userId);
      assert.deepEqual(ids(listed, unsure), ids(sessions, unsure));
      const created = listed.map(({ createdAt }) => createdAt);
      assert.deepEqual(
        created,
        created.toSorted((a, b) => a - b),
        "oldest first",
      );
      const kept = sessions[0]!;
      const ended = await other.revokeUser(userId, { except: kept.id });
      assert.ok(ended >= MANY - 1 && ended <= MANY - 1 + unsure.size, `ended ${ended} of ${MANY - 1}`);
      assert.deepEqual(ids(await store.listUser(userId), unsure), [kept.id]);
      for (const { id } of sessions.slice(-3)) assert.equal(await store.read(id), null);
    },

    "one of a user's many sessions is written, read and ended as any other": async (scene) => {
      const { store, user } = scene;
      const userId = user();
      const { sessions, unsure } = await many(scene, userId, 100);
      const [one, ...rest] = sessions;
      assert.equal(await store.update(one!.id, { data: "new" }), "updated");
      assert.equal((await store.read(one!.id))?.data, "new");
      assert.equal(await store.revoke(one!.id), true);
      assert.deepEqual(ids(await store.listUser(userId), unsure), ids(rest, unsure));
    },
  },
};

/** More than common limits of one command. */
const MANY = 600;

interface Many {
  readonly sessions: readonly SessionRecord[];
  /** Ids whose create was rejected: nobody knows whether they are there. */
  readonly unsure: ReadonlySet<string>;
}

async function many({ store, fresh }: Scene, userId: string, count: number): Promise<Many> {
  const sessions: SessionRecord[] = [];
  const unsure = new Set<string>();
  const createOne = async (): Promise<void> => {
    const session = fresh({ userId });
    try {
      assert.equal(await store.create(session), true);
    } catch (error) {
      if (!isStoreError(error) || unsure.size > count) throw error;
      unsure.add(session.id);
      return;
    }
    const record = await store.read(session.id);
    assert.ok(record);
    sessions.push(record);
  };
  while (sessions.length < count) {
    const left = Math.min(50, count - sessions.length);
    await Promise.all(Array.from({ length: left }, createOne));
  }
  return { sessions, unsure };
}

function ids(sessions: readonly SessionRecord[], except: ReadonlySet<string>): string[] {
  return sessions
    .map(({ id }) => id)
    .filter((id) => !except.has(id))
    .toSorted();
}
