import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type SessionEvents, Sessions, type SessionsOptions } from "@tenure/core";
import { visitor } from "@tenure/cookie-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createApplication } from "../bridges/application.ts";
import { databases, type OpenDatabase } from "../bridges/databases.ts";
import { expressSession } from "../bridges/express.ts";
import { fastifySession } from "../bridges/fastify.ts";
import { createGates } from "../bridges/gates.ts";
import { koaSession } from "../bridges/koa.ts";
import { canariesIn, type Canary, dataCanary, digestCanary, secretCanary, shown } from "./canary.ts";

// An object, so that it does not compile if an event is missing.
const EVENTS = Object.keys({
  created: true,
  "logged-in": true,
  "login-refused": true,
  rotated: true,
  revoked: true,
  unbound: true,
  expired: true,
  "late-save-dropped": true,
  "conflict-merged": true,
  "touch-failed": true,
  "superseded-token-used": true,
  unreadable: true,
  refused: true,
  "store-failure": true,
} satisfies Record<keyof SessionEvents, true>);

const protect = { keys: [{ id: "one", key: Buffer.alloc(32, 7) }] };

let events: unknown[];
let output: string;
const onEvent = (event: unknown): void => void events.push(event);
const onWarning = (warning: Error): void => void (output += shown(warning));
beforeEach(() => {
  events = [];
  output = "";
  for (const name of EVENTS) subscribe(`tenure:${name}`, onEvent);
  process.on("warning", onWarning);
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      output += String(chunk);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  process.off("warning", onWarning);
  for (const name of EVENTS) unsubscribe(`tenure:${name}`, onEvent);
});

/** Makes an application's calls, some of them with invalid arguments, and returns what they left behind. */
async function useSessions(sessions: Sessions): Promise<{
  readonly canaries: readonly Canary[];
  readonly digests: readonly Canary[];
  readonly id: string;
  readonly errors: readonly unknown[];
}> {
  const data = dataCanary("data");
  const user = randomUUID();
  const visit = await sessions.create({ [data.text]: data.text });
  const login = await sessions.logIn(visit.token, user);
  const session = (await sessions.save(login.session!, { [data.text]: data.text, more: data.text }))!;
  const rotated = (await sessions.rotate(login.token!)) as { readonly token: string };
  const other = (await sessions.get(rotated.token))!;
  const errors: unknown[] = [];
  const collectError = async (call: () => Promise<unknown>): Promise<void> => {
    await call().catch((error: unknown) => errors.push(error));
  };
  await sessions.save(session, { [data.text]: "late" });
  await sessions.save(other, { [data.text]: data.text, userId: user });
  await collectError(() => sessions.save(other, { [data.text]: 1n }));
  await collectError(() => sessions.save(other, { big: data.text.repeat(40_000) }));
  await collectError(() => sessions.save({ ...other }, { [data.text]: 1 }));
  await collectError(() => sessions.createWithToken(data.text.slice(0, 12), { a: data.text }));
  await collectError(() =>
    sessions.create({
      user: data.text,
      a: {
        toJSON: () => {
          throw new Error(data.text);
        },
      },
    }),
  );
  await collectError(() => sessions.logIn(rotated.token, { [data.text]: 1 } as never));
  await collectError(() => sessions.create({ userId: user }, { lifetime: data.text as never }));
  expect(errors).toHaveLength(7);
  const tokens = { visitor: visit.token, login: login.token!, rotated: rotated.token };
  const secrets = Object.entries(tokens).map(([name, token]) => secretCanary(`${name}'s secret`, token));
  const digests = Object.entries(tokens).map(([name, token]) => digestCanary(`${name}'s digest`, token));
  return { canaries: [data, ...secrets], digests, id: session.id, errors };
}

test.each([
  ["in plain text", (text: string) => text],
  ["in base64, after other bytes", (text: string) => Buffer.from(`x${text}yz`).toString("base64url")],
  ["in hexadecimal", (text: string) => Buffer.from(text).toString("hex")],
  [
    "in a non-enumerable field of an error's cause",
    (text: string) => shown(new Error("a", { cause: errorHiding(text) })),
  ],
])("canariesIn finds a canary %s", (_, hide) => {
  const canary = dataCanary("data");
  expect(canariesIn(hide(canary.text), [canary])).toEqual(["data"]);
});

function errorHiding(text: string): Error {
  return Object.defineProperty(new Error("b"), "row", { value: { deep: [text] }, enumerable: false });
}

for (const database of databases) {
  database.describe(`on ${database.name}`, () => {
    const open = async (
      options: Omit<SessionsOptions, "store">,
      use: (sessions: Sessions, database: OpenDatabase) => Promise<void>,
    ): Promise<void> => {
      const opened = await database.open();
      try {
        await use(new Sessions({ store: opened.store, ...options }), opened);
      } finally {
        await opened.close();
      }
    };

    test("with protect, the database contains neither tokens, nor their plain digests, nor data (ASVS 11.3.2, 14.2.4, NIST 5.1)", () =>
      open({ protect }, async (sessions, { dump }) => {
        const { canaries, digests, id } = await useSessions(sessions);
        const text = await dump();
        expect(text).toContain(id);
        expect(canariesIn(text, [...canaries, ...digests])).toEqual([]);
      }));

    test("without protect, the database contains data and plain digests of tokens, but no tokens", () =>
      open({}, async (sessions, { dump }) => {
        const { canaries, digests } = await useSessions(sessions);
        const text = await dump();
        expect(canariesIn(text, canaries)).toEqual(["data"]);
        expect(canariesIn(text, digests)).not.toEqual([]);
      }));

    test.each([
      ["with protect", { protect }],
      ["without protect", {}],
    ])(
      "events, errors, output and public objects show neither tokens nor data, %s (ASVS 16.2.5, 16.5.1)",
      (_, options) =>
        open(options, async (sessions, { store }) => {
          const { canaries, errors } = await useSessions(sessions);
          expect(events.length).toBeGreaterThan(5);
          expect(canariesIn(shown(events), canaries)).toEqual([]);
          expect(canariesIn(errors.map(shown).join("\n"), canaries)).toEqual([]);
          expect(canariesIn(output, canaries)).toEqual([]);
          expect(canariesIn(shown([sessions, sessions.policy, store]), canaries)).toEqual([]);
          expect(shown([sessions, sessions.policy])).not.toMatch(/0707070707|BwcHBw/);
        }),
    );

    test("setData replaces the data of a session, even after a save has removed its user", () =>
      open({}, async (sessions, { store, setData }) => {
        const { session } = await sessions.create({ userId: randomUUID(), a: 1 });
        const left = (await sessions.save(session, { a: 1 }))!;
        expect((await store.read(left.id))!.data).toMatch(/^..l/u);
        await setData(left.id, "tampered");
        expect((await store.read(left.id))!.data).toBe("tampered");
      }));

    test("a session shows its data but no token", () =>
      open({ protect }, async (sessions) => {
        const { canaries, id } = await useSessions(sessions);
        const listed: unknown[] = [];
        for await (const session of sessions.all()) listed.push(session);
        expect(shown(listed)).toContain(id);
        expect(canariesIn(shown(listed), canaries)).toEqual(["data"]);
      }));

    test.skipIf(database.name === "memory")(
      "if the server quotes rejected data in its error, no error, cause, event or output of Tenure contains them (ASVS 16.2.5, 16.5.1)",
      () =>
        open({}, async (sessions, { failWrites }) => {
          const { token, session } = await sessions.create({ a: 1 });
          const { canaries } = await useSessions(sessions);
          const data = dataCanary("refused");
          await failWrites?.();
          events = [];
          const calls = [
            () => sessions.save(session, { a: data.text }),
            () => sessions.logIn(token, "ada"),
            () => sessions.rotate(token),
            () => sessions.update(session, () => ({ a: data.text })),
          ];
          const errors: unknown[] = [];
          for (const call of calls) await call().catch((error: unknown) => errors.push(error));
          expect(errors.length).toBeGreaterThan(1);
          const all = [data, ...canaries, secretCanary("the token", token)];
          expect(canariesIn(errors.map(shown).join("\n"), all)).toEqual([]);
          expect(events.map(shown).join("\n")).toContain("store-failure");
          expect(canariesIn(events.map(shown).join("\n"), all)).toEqual([]);
          expect(canariesIn(output, all)).toEqual([]);
        }),
    );

    for (const framework of [expressSession, fastifySession, koaSession]) {
      test(`${framework.name}: the bridge, the database, events and output show neither tokens nor data (ASVS 16.2.5)`, () =>
        open({ protect }, async (sessions, { dump }) => {
          const site = await framework.serve(sessions, createApplication(createGates()));
          try {
            const browser = visitor(site.origin);
            const data = dataCanary("data");
            const canaries: Canary[] = [data];
            const user = randomUUID();
            for (const step of [{ set: { [data.text]: data.text } }, { logIn: user }, "rotate"]) {
              const { status } = await browser.post("/", [step]);
              expect(status).toBe(200);
              canaries.push(...tokenCanaries(browser.cookies));
            }
            await browser.post("/", [{ set: { more: data.text } }]);
            await browser.post("/", [{ set: { big: data.text.repeat(40_000) } }]);
            expect(canaries.length).toBeGreaterThan(3);
            expect(canariesIn(await dump(), canaries)).toEqual([]);
            expect(canariesIn(shown(site.store), canaries)).toEqual([]);
            expect(canariesIn(shown(events), canaries)).toEqual([]);
            expect(events.length).toBeGreaterThan(2);
            expect(canariesIn(output, canaries)).toEqual([]);
          } finally {
            await site.close();
          }
        }));
    }
  });
}

/** Returns canaries of the tokens in cookies, which each framework signs or encodes in its own way. */
function tokenCanaries(cookies: ReadonlyMap<string, string>): Canary[] {
  return [...cookies.values()].flatMap((value) => {
    const tokens = decodeURIComponent(value).match(/[\w-]{22}\.[\w-]{43}/g) ?? [];
    return tokens.flatMap((token) => [secretCanary("a secret", token), digestCanary("a digest", token)]);
  });
}
