import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Sessions, type SessionsOptions } from "@tenure/core";
import { visitor } from "@tenure/cookie-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { application } from "../bridges/application.ts";
import { expressSession } from "../bridges/express.ts";
import { fastifySessions } from "../bridges/fastify.ts";
import { gates } from "../bridges/gates.ts";
import { koaSession } from "../bridges/koa.ts";
import { canariesIn, type Canary, dataCanary, digestCanary, secretCanary, shown } from "./canary.ts";
import { databases, type OpenDatabase } from "./databases.ts";

const EVENTS = [
  "created",
  "logged-in",
  "login-refused",
  "rotated",
  "revoked",
  "unbound",
  "expired",
  "late-save-dropped",
  "conflict-merged",
  "touch-failed",
  "superseded-token-used",
  "unreadable",
  "refused",
  "store-failure",
] as const;

const protect = { keys: [{ id: "one", key: Buffer.alloc(32, 7) }] };

let events: unknown[];
let output: string;
const listen = (event: unknown): void => void events.push(event);
const warned = (warning: Error): void => void (output += shown(warning));
beforeEach(() => {
  events = [];
  output = "";
  for (const name of EVENTS) subscribe(`tenure:${name}`, listen);
  process.on("warning", warned);
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      output += String(chunk);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  process.off("warning", warned);
  for (const name of EVENTS) unsubscribe(`tenure:${name}`, listen);
});

/**
 * Uses sessions as an application does, correctly and incorrectly, and returns the canaries, an id and the
 * errors that it got.
 */
async function live(sessions: Sessions): Promise<{
  readonly canaries: readonly Canary[];
  readonly digests: readonly Canary[];
  readonly data: Canary;
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
  const fails = async (call: () => Promise<unknown>): Promise<void> => {
    await call().catch((error: unknown) => errors.push(error));
  };
  await sessions.save(session, { [data.text]: "late" });
  await sessions.save(other, { [data.text]: data.text, userId: user });
  await fails(() => sessions.save(other, { [data.text]: 1n }));
  await fails(() => sessions.save(other, { big: data.text.repeat(40_000) }));
  await fails(() => sessions.save({ ...other }, { [data.text]: 1 }));
  await fails(() => sessions.createWithToken(data.text.slice(0, 12), { a: data.text }));
  await fails(() =>
    sessions.create({
      user: data.text,
      a: {
        toJSON: () => {
          throw new Error(data.text);
        },
      },
    }),
  );
  await fails(() => sessions.logIn(rotated.token, { [data.text]: 1 } as never));
  await fails(() => sessions.create({ userId: user }, { lifetime: data.text as never }));
  expect(errors).toHaveLength(7);
  const tokens = { visitor: visit.token, login: login.token!, rotated: rotated.token };
  const secrets = Object.entries(tokens).map(([name, token]) => secretCanary(`${name}'s secret`, token));
  const digests = Object.entries(tokens).map(([name, token]) => digestCanary(`${name}'s digest`, token));
  return { canaries: [data, ...secrets], digests, data, id: session.id, errors };
}

test.each([
  ["as it is", (text: string) => text],
  ["in base64, anywhere", (text: string) => Buffer.from(`x${text}yz`).toString("base64url")],
  ["in hexadecimal", (text: string) => Buffer.from(text).toString("hex")],
  ["in a cause's hidden field", (text: string) => shown(new Error("a", { cause: hidden(text) }))],
])("a canary is found %s", (_, hide) => {
  const canary = dataCanary("data");
  expect(canariesIn(hide(canary.text), [canary])).toEqual(["data"]);
});

function hidden(text: string): Error {
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

    test("neither tokens, nor their plain digests, nor data are in the database, with protect (ASVS 11.3.2, 14.2.4, NIST 5.1)", () =>
      open({ protect }, async (sessions, { dump }) => {
        const { canaries, digests, id } = await live(sessions);
        const text = await dump();
        expect(text).toContain(id);
        expect(canariesIn(text, [...canaries, ...digests])).toEqual([]);
      }));

    test("without protect, data are in the database, and tokens are not", () =>
      open({}, async (sessions, { dump }) => {
        const { canaries, digests } = await live(sessions);
        const text = await dump();
        expect(canariesIn(text, canaries)).toEqual(["data"]);
        expect(canariesIn(text, digests)).not.toEqual([]);
      }));

    test.each([
      ["with protect", { protect }],
      ["without it", {}],
    ])(
      "nothing shows them but the session itself: events, errors, output, public objects, %s (ASVS 16.2.5, 16.5.1)",
      (_, options) =>
        open(options, async (sessions, { store }) => {
          const { canaries, errors } = await live(sessions);
          expect(events.length).toBeGreaterThan(5);
          expect(canariesIn(shown(events), canaries)).toEqual([]);
          expect(canariesIn(errors.map(shown).join("\n"), canaries)).toEqual([]);
          expect(canariesIn(output, canaries)).toEqual([]);
          expect(canariesIn(shown([sessions, sessions.policy, store]), canaries)).toEqual([]);
          expect(shown([sessions, sessions.policy])).not.toMatch(/0707070707|BwcHBw/);
        }),
    );

    test("setData, with which tests tamper, replaces the data of any session, even of one that its user left", () =>
      open({}, async (sessions, { store, setData }) => {
        const { session } = await sessions.create({ userId: randomUUID(), a: 1 });
        const left = (await sessions.save(session, { a: 1 }))!;
        expect((await store.read(left.id))!.data).toMatch(/^..l/u);
        await setData(left.id, "tampered");
        expect((await store.read(left.id))!.data).toBe("tampered");
      }));

    test("a session shows its data and no token", () =>
      open({ protect }, async (sessions) => {
        const { canaries, id } = await live(sessions);
        const listed: unknown[] = [];
        for await (const session of sessions.all()) listed.push(session);
        expect(shown(listed)).toContain(id);
        expect(canariesIn(shown(listed), canaries)).toEqual(["data"]);
      }));

    // The memory store has no server.
    test.skipIf(database.name === "memory")(
      "a server that quotes what it refused does not bring data into an error, its causes or an event (ASVS 16.2.5, 16.5.1)",
      () =>
        open({}, async (sessions, { spoil }) => {
          const { token, session } = await sessions.create({ a: 1 });
          const { canaries } = await live(sessions);
          const data = dataCanary("refused");
          await spoil?.();
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

    for (const framework of [expressSession, fastifySessions, koaSession]) {
      test(`${framework.name}: bridge, database, events and output show neither tokens nor data (ASVS 16.2.5)`, () =>
        open({ protect }, async (sessions, { dump }) => {
          const site = await framework.serve(sessions, application(gates()));
          try {
            const browser = visitor(site.origin);
            const data = dataCanary("data");
            const canaries: Canary[] = [data];
            const user = randomUUID();
            for (const step of [{ set: { [data.text]: data.text } }, { logIn: user }, "rotate"]) {
              const { status } = await browser.post("/", [step]);
              expect(status).toBe(200);
              canaries.push(...tokensOf(browser.cookies));
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

/** Returns the tokens in the cookies, which each framework signs or encodes differently. */
function tokensOf(cookies: ReadonlyMap<string, string>): Canary[] {
  return [...cookies.values()].flatMap((value) => {
    const tokens = decodeURIComponent(value).match(/[\w-]{22}\.[\w-]{43}/g) ?? [];
    return tokens.flatMap((token) => [secretCanary("a secret", token), digestCanary("a digest", token)]);
  });
}
