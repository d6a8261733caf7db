import { randomUUID } from "node:crypto";
import { type SessionStore, Sessions } from "@tenure/core";
import { expect, test } from "vitest";
import { json, tenure } from "./tenure.ts";

export interface TestedStore {
  /** The options that name the store on the command line. */
  readonly args: readonly string[];
  /** The same store, as an application uses it. */
  readonly store: SessionStore;
}

interface Listed {
  readonly id: string;
  readonly userId: string;
  readonly data?: unknown;
}

/** Tests the commands that work on every store. */
export function testCommands(tested: () => TestedStore): void {
  const application = () => new Sessions({ store: tested().store, idleTimeout: "30m", lifetime: "12h" });
  const logIn = async (userId: string) => {
    const { session, token } = await application().logIn(null, userId);
    if (session === undefined) throw new Error("the login was refused");
    await application().save(session, { ...session.data, secret: "of the session" });
    return { token, id: session.id };
  };

  test("list shows the live sessions of a user, and their data only with --data", async () => {
    const userId = randomUUID();
    const { id, token } = await logIn(userId);
    const plain = await tenure(["list", userId, ...tested().args]);
    expect(plain).toMatchObject({ code: 0, out: expect.stringContaining(id) });
    expect(plain.out).not.toContain("of the session");
    expect(plain.out).not.toContain(token.slice(23));
    const [listed] = await json<Listed[]>(["list", userId, ...tested().args]);
    expect(listed).toMatchObject({ id, userId });
    expect(listed).not.toHaveProperty("data");
    const [withData] = await json<Listed[]>(["list", userId, "--data", ...tested().args]);
    expect(withData).toMatchObject({ id, data: { secret: "of the session" } });
    const shown = await tenure(["list", userId, "--data", ...tested().args]);
    expect(shown.out).toContain("of the session");
  });

  test("list reports that a user has no live sessions", async () => {
    const ran = await tenure(["list", randomUUID(), ...tested().args]);
    expect(ran).toMatchObject({ code: 0, out: "No live sessions.\n" });
  });

  test("an empty user is refused, by a message that names only what the command line can do", async () => {
    for (const command of [["list"], ["revoke-user", "--yes"]]) {
      const ran = await tenure([...command, "", ...tested().args]);
      expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringMatching(/not an empty string\n$/) });
    }
  });

  test("revoke ends one session, and leaves the others of its user", async () => {
    const userId = randomUUID();
    const [ended, kept] = [await logIn(userId), await logIn(userId)];
    await expect(json(["revoke", ended.id, "--yes", ...tested().args])).resolves.toEqual({ ended: true });
    await expect(json(["revoke", ended.id, "--yes", ...tested().args])).resolves.toEqual({ ended: false });
    await expect(application().get(ended.token)).resolves.toBeNull();
    await expect(application().get(kept.token)).resolves.toMatchObject({ id: kept.id });
  });

  test("revoke accepts an id that begins with a dash", async () => {
    const id = `-${randomUUID().replaceAll("-", "").slice(0, 21)}`;
    const ran = await tenure(["revoke", id, "--yes", ...tested().args]);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("was not alive") });
  });

  test("revoke refuses a token, and does not print it", async () => {
    const { token, id } = await logIn(randomUUID());
    const ran = await tenure(["revoke", token, "--yes", ...tested().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("This is a token") });
    expect(ran.err).not.toContain(token);
    await expect(application().get(token)).resolves.toMatchObject({ id });
  });

  test("revoke refuses a token that begins with a dash, and does not print it", async () => {
    const token = `-${"a".repeat(21)}.${"b".repeat(43)}`;
    const ran = await tenure(["revoke", token, "--yes", ...tested().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("This is a token") });
    expect(ran.err).not.toContain(token);
  });

  test("revoke-user logs a user out everywhere, and a login that began before it is refused", async () => {
    const userId = randomUUID();
    const [first, second] = [await logIn(userId), await logIn(userId)];
    const since = await application().since();
    await expect(json(["revoke-user", userId, "--yes", ...tested().args])).resolves.toEqual({ ended: 2 });
    for (const { token } of [first, second]) await expect(application().get(token)).resolves.toBeNull();
    await expect(application().logIn(null, userId, { since })).resolves.toEqual({
      refused: "logged-out-meanwhile",
    });
  });

  test("without a terminal, revoke-user without --yes ends nothing and exits with code 2", async () => {
    const userId = randomUUID();
    const { token, id } = await logIn(userId);
    const ran = await tenure(["revoke-user", userId, ...tested().args]);
    expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining("add --yes") });
    await expect(application().get(token)).resolves.toMatchObject({ id });
  });

  test("on a terminal, revoke-user asks, and ends nothing unless the answer is yes", async () => {
    const userId = randomUUID();
    const { token, id } = await logIn(userId);
    const no = await tenure(["revoke-user", userId, ...tested().args], { answer: "" });
    expect(no).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Nothing was done.") });
    await expect(application().get(token)).resolves.toMatchObject({ id });
    const yes = await tenure(["revoke-user", userId, ...tested().args], { answer: "y" });
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining("Ended 1 session.") });
    await expect(application().get(token)).resolves.toBeNull();
  });

  test("count counts the sessions of users and of visitors, and revoke-all ends them all", async () => {
    await logIn(randomUUID());
    await application().create({ basket: ["tea"] });
    const counted = await json<Record<string, number>>(["count", ...tested().args]);
    expect(counted).toMatchObject({ live: expect.any(Number), unreadable: 0 });
    expect(counted["loggedIn"]).toBeGreaterThanOrEqual(1);
    expect(counted["anonymous"]).toBeGreaterThanOrEqual(1);
    expect(counted["live"]).toBe((counted["loggedIn"] ?? 0) + (counted["anonymous"] ?? 0));
    const all = await tenure(["revoke-all", ...tested().args], { answer: "yes" });
    expect(all).toMatchObject({
      code: 0,
      out: expect.stringContaining(`Ended ${counted["live"]} session`),
    });
    // On a terminal, the progress bar is drawn and removed.
    expect(all.err).toContain("ending sessions");
    expect(all.err.endsWith("\r\u001B[K")).toBe(true);
    await expect(json(["count", ...tested().args])).resolves.toMatchObject({ live: 0 });
  });

  test("migrate and sweep succeed on a store that is set up", async () => {
    for (const command of ["migrate", "sweep"]) {
      const ran = await tenure([command, ...tested().args]);
      expect(ran).toMatchObject({ code: 0, err: "" });
    }
  });

  test("on a terminal, sweep draws its progress bar and removes it", async () => {
    const ran = await tenure(["sweep", ...tested().args], { answer: "" });
    expect(ran).toMatchObject({ code: 0, err: "\rsweeping: 0\u001B[K\r\u001B[K" });
  });
}

/** Runs `doctor`, and returns the status and the message of each check. */
export async function findingsOf(args: readonly string[]): Promise<Record<string, string>> {
  const { findings } = await json<{ findings: { check: string; status: string; message: string }[] }>([
    "doctor",
    ...args,
  ]);
  return Object.fromEntries(findings.map(({ check, status, message }) => [check, `${status}: ${message}`]));
}
