import { afterEach, describe, expect, test, vi } from "vitest";
import { type Visit, visitDemo } from "./visit.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(["express", "fastify", "koa"] as const)("the demo on %s", (framework) => {
  test("shows both devices of a person, and logs out everywhere for good", async () => {
    await using demo = await visitDemo("memory", { framework });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    expect(phone).not.toBe(laptop);
    expect((await (await demo.get(phone)).text()).match(/<li class="device/gu)).toHaveLength(2);
    await expectRedirect(demo, demo.post("/log-out-everywhere", laptop), "/?notice=logged-out-everywhere");
    expect(await demo.seen(laptop)).toBe("Who are you?");
    expect(await demo.seen(phone)).toBe("Who are you?");
  });

  test("logs out everywhere for good: a request that was running then does not bring its session back", async () => {
    const [begun, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const work = (): Promise<void> => {
      begun.resolve();
      return finish.promise;
    };
    await using demo = await visitDemo("memory", { framework, work });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    const slow = demo.post("/slow-note", phone);
    await Promise.race([begun.promise, slow]);
    await demo.post("/log-out-everywhere", laptop);
    finish.resolve();
    await expectRedirect(demo, slow, "/");
    expect(await demo.seen(phone)).toBe("Who are you?");
  });

  test("touches no cookie of who has none: another tab may be signing in just then", async () => {
    await using demo = await visitDemo("memory", { framework });
    const { status, headers } = await demo.get();
    expect({ status, cookies: headers.getSetCookie() }).toEqual({ status: 200, cookies: [] });
  });

  test("takes away the cookie of a session that ended, and says that it did", async () => {
    await using demo = await visitDemo("memory", { framework });
    const cookie = await demo.signIn();
    await demo.post("/log-out-everywhere", cookie);
    const page = await demo.get(cookie);
    expect(await page.text()).toContain("Your session has ended");
    const [line = ""] = page.headers.getSetCookie();
    const expires = /^tenure-demo=;.*\bexpires=([^;]+)/iu.exec(line)?.[1];
    expect(Date.parse(expires ?? "")).toBeLessThan(Date.now());
  });

  test.each([
    ["a form over 8 KiB", { body: new URLSearchParams({ person: "x".repeat(9000) }) }, 413],
    ["a form that does not say how long it is", { body: stream("person=ada"), duplex: "half" } as const, 413],
    ["a method that no page has", { method: "PUT" }, 404],
  ])("refuses %s, which is no failure: nothing goes to the terminal", async (_what, request, status) => {
    const terminal = vi.spyOn(console, "error");
    await using demo = await visitDemo("memory", { framework });
    const headers = { origin: demo.url };
    const answer = await fetch(`${demo.url}/sign-in`, { method: "POST", headers, ...request });
    expect(answer.status).toBe(status);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(terminal.mock.calls).toEqual([]);
  });

  test.each(["/", "/race", "/style.css", "/nowhere"])(
    "responds to HEAD %s as to GET, without the page",
    async (path) => {
      await using demo = await visitDemo("memory", { framework });
      const [head, get] = [await fetch(demo.url + path, { method: "HEAD" }), await fetch(demo.url + path)];
      expect(head.status).toBe(get.status);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
      expect(await head.text()).toBe("");
    },
  );
});

test.each([
  ["express", "application/x-www-form-urlencoded; charset=klingon"],
  ["fastify", "application/klingon"],
] as const)("responds to what %s itself refuses with its status", async (framework, type) => {
  const terminal = vi.spyOn(console, "error");
  await using demo = await visitDemo("memory", { framework });
  const headers = { origin: demo.url, "content-type": type };
  const answer = await fetch(`${demo.url}/sign-in`, { method: "POST", headers, body: "person=ada" });
  expect(answer.status).toBe(415);
  expect(await answer.text()).toContain("<h1>Refused</h1>");
  expect(terminal.mock.calls).toEqual([]);
});

function stream(text: string): ReadableStream {
  return new Blob([text]).stream();
}

async function expectRedirect(demo: Visit, answer: Promise<Response>, location: string): Promise<void> {
  const { status, headers } = await answer;
  expect({ status, location: headers.get("location")?.replace(demo.url, "") }).toEqual({
    status: 303,
    location,
  });
}
