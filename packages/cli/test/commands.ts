import { randomUUID } from "node:crypto";
import { type SessionStore, Sessions } from "@tenure/core";
import { expect, test } from "vitest";
import { json, tenure } from "./tenure.ts";

export interface Place {
  /** The options that name the store on the command line. */
  readonly args: readonly string[];
  /** The same store, as an application has it. */
  readonly store: SessionStore;
}

interface Listed {
  readonly id: string;
  readonly userId: string;
  readonly data?: unknown;
}

/** Every command that all stores have. */
export function testCommands(place: () => Place): void {
  const applications = () => new Sessions({ store: place().store, idleTimeout: "30m", lifetime: "12h" });
  const loggedIn = async (userId: string) => {
    const { session, token } = await applications().logIn(null, userId);
    if (session === undefined) throw new Error("the login was refused");
    const saved = await applications().save(session, { ...session.data, secret: "of the session" });
    return { token, id: session.id, saved };
  };

  test("list shows the live sessions of a user, and their data only with --data", async () => {
    const userId = randomUUID();
    const { id, token } = await loggedIn(userId);
    const plain = await tenure(["list", userId, ...place().args]);
    expect(plain).toMatchObject({ code: 0, out: expect.stringContaining(id) });
    expect(plain.out).not.toContain("of the session");
    expect(plain.out).not.toContain(token.slice(23));
    const [listed] = await json<Listed[]>(["list", userId, ...place().args]);
    expect(listed).toMatchObject({ id, userId });
    expect(listed).not.toHaveProperty("data");
    const [withData] = await json<Listed[]>(["list", userId, "--data", ...place().args]);
    expect(withData).toMatchObject({ id, data: { secret: "of the session" } });
    const shown = await tenure(["list", userId, "--data", ...place().args]);
    expect(shown.out).toContain("of the session");
  });

  test("list prints no session for a user who has none", async () => {
    const ran = await tenure(["list", randomUUID(), ...place().args]);
    expect(ran).toMatchObject({ code: 0, out: "No live sessions.\n" });
  });

  test("revoke ends one session and no other session of its user", async () => {
    const userId = randomUUID();
    const [ended, kept] = [await loggedIn(userId), await loggedIn(userId)];
    await expect(json(["revoke", ended.id, "--yes", ...place().args])).resolves.toEqual({ ended: true });
    await expect(json(["revoke", ended.id, "--yes", ...place().args])).resolves.toEqual({ ended: false });
    await expect(applications().get(ended.token)).resolves.toBeNull();
    await expect(applications().get(kept.token)).resolves.toMatchObject({ id: kept.id });
  });

  test("revoke accepts an id that begins with a dash", async () => {
    const id = `-${randomUUID().replaceAll("-", "").slice(0, 21)}`;
    const ran = await tenure(["revoke", id, "--yes", ...place().args]);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("was not alive") });
  });

  test("revoke refuses a token, and does not repeat it", async () => {
    const { token, id } = await loggedIn(randomUUID());
    const ran = await tenure(["revoke", token, "--yes", ...place().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("This is a token") });
    expect(ran.err).not.toContain(token);
    await expect(applications().get(token)).resolves.toMatchObject({ id });
  });

  test("revoke refuses a token that begins with a dash, and does not repeat it", async () => {
    const token = `-${"a".repeat(21)}.${"b".repeat(43)}`;
    const ran = await tenure(["revoke", token, "--yes", ...place().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("This is a token") });
    expect(ran.err).not.toContain(token);
  });

  test("revoke-user ends every session of a user, and a login that began before it is refused", async () => {
    const userId = randomUUID();
    const [first, second] = [await loggedIn(userId), await loggedIn(userId)];
    const since = await applications().since();
    await expect(json(["revoke-user", userId, "--yes", ...place().args])).resolves.toEqual({ ended: 2 });
    for (const { token } of [first, second]) await expect(applications().get(token)).resolves.toBeNull();
    await expect(applications().logIn(null, userId, { since })).resolves.toEqual({
      refused: "logged-out-meanwhile",
    });
  });

  test("without a terminal and without --yes, revoke-user ends nothing and exits with code 2", async () => {
    const userId = randomUUID();
    const { token, id } = await loggedIn(userId);
    const ran = await tenure(["revoke-user", userId, ...place().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("add --yes") });
    await expect(applications().get(token)).resolves.toMatchObject({ id });
  });

  test("on a terminal, revoke-user asks for confirmation, and ends nothing unless the answer is yes", async () => {
    const userId = randomUUID();
    const { token, id } = await loggedIn(userId);
    const no = await tenure(["revoke-user", userId, ...place().args], { answer: "" });
    expect(no).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Nothing was done.") });
    await expect(applications().get(token)).resolves.toMatchObject({ id });
    const yes = await tenure(["revoke-user", userId, ...place().args], { answer: "y" });
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining("Ended 1 session.") });
    await expect(applications().get(token)).resolves.toBeNull();
  });

  test("count counts the sessions of users and of visitors, and revoke-all ends them all", async () => {
    await loggedIn(randomUUID());
    await applications().create({ basket: ["tea"] });
    const counted = await json<Record<string, number>>(["count", ...place().args]);
    expect(counted).toMatchObject({ live: expect.any(Number), unreadable: 0 });
    expect(counted["loggedIn"]).toBeGreaterThanOrEqual(1);
    expect(counted["anonymous"]).toBeGreaterThanOrEqual(1);
    expect(counted["live"]).toBe((counted["loggedIn"] ?? 0) + (counted["anonymous"] ?? 0));
    const all = await tenure(["revoke-all", ...place().args], { answer: "yes" });
    expect(all).toMatchObject({
      code: 0,
      out: expect.stringContaining(`Ended ${counted["live"]} session`),
    });
    // The bar is drawn on a terminal, and removed.
    expect(all.err).toContain("ending sessions");
    expect(all.err.endsWith("\r\u001B[K")).toBe(true);
    await expect(json(["count", ...place().args])).resolves.toMatchObject({ live: 0 });
  });

  test("sweep and migrate can run at any time", async () => {
    for (const command of ["migrate", "sweep"]) {
      const ran = await tenure([command, ...place().args]);
      expect(ran).toMatchObject({ code: 0, err: "" });
    }
  });

  test("on a terminal, sweep removes its progress bar once, before it prints the result", async () => {
    const ran = await tenure(["sweep", ...place().args], { answer: "" });
    expect(ran).toMatchObject({ code: 0, err: "\rsweeping: 0\u001B[K\r\u001B[K" });
  });
}

/** The status of each check, and what it says, after `doctor`. */
export async function findingsOf(args: readonly string[]): Promise<Record<string, string>> {
  const { findings } = await json<{ findings: { check: string; status: string; message: string }[] }>([
    "doctor",
    ...args,
  ]);
  return Object.fromEntries(findings.map(({ check, status, message }) => [check, `${status}: ${message}`]));
}
