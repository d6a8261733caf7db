import { afterEach, describe, expect, test, vi } from "vitest";
import { cookiesOf, type Visit, visitDemo } from "./visit.ts";

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

  test("shows each device's user agent and network address, as text", async () => {
    await using demo = await visitDemo("memory", { framework });
    await demo.signIn("Mozilla/5.0 <b>phone</b>");
    const page = await (await demo.get(await demo.signIn("curl/8.14.1"))).text();
    const shown = page.match(/(?<=<dt>(?:Address|User agent)<\/dt>\s*<dd>).*?(?=<\/dd>)/gu);
    const phone = "Mozilla/5.0 &#60;b&#62;phone&#60;/b&#62;";
    expect(shown).toEqual(["127.0.0.1", "curl/8.14.1", "127.0.0.1", phone]);
  });

  test("stores neither the user agent nor the network address readably", async () => {
    await using demo = await visitDemo("memory", { framework });
    await demo.signIn("Mozilla/5.0 canary");
    const [record, ...others] = await demo.store.listUser("ada");
    expect(others).toEqual([]);
    expect(record?.data).toMatch(/^2/u);
    expect(JSON.stringify(record)).not.toMatch(/canary|127\.0\.0\.1/u);
  });

  test.each(["/log-out", "/log-out-others"])(
    "asks at %s for a recent login, goes on with it, and gives a new cookie",
    async (path) => {
      await using demo = await visitDemo("memory", { framework, recent: "1ms" });
      const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
      const form = { id: otherDevice(await (await demo.get(laptop)).text()) };
      // Another person's login does not count.
      for (const person of [{}, { person: "bo" }]) {
        const asked = await demo.post(path, laptop, { ...form, ...person });
        expect(asked.status).toBe(401);
        expect(asked.headers.get("www-authenticate")).toBe(
          'Session error="insufficient_user_authentication", max_age="0"',
        );
        const page = await asked.text();
        expect(page).toContain("<h1>Is it still you?</h1>");
        expect(page).toContain(`action="${path}"`);
        expect(page).toContain(`name="id" value="${form.id}"`);
      }
      expect(await demo.seen(phone)).toBe("Your devices");

      const done = await demo.post(path, laptop, { ...form, person: "ada" });
      expect(done.status).toBe(303);
      expect(await demo.seen(phone)).toBe("Who are you?");
      expect(cookiesOf(done)).not.toBe(laptop);
      expect(await demo.seen(cookiesOf(done))).toBe("Your devices");
    },
  );

  test("ends other devices without asking if the login is recent", async () => {
    await using demo = await visitDemo("memory", { framework, recent: "15m" });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    await expectRedirect(demo, demo.post("/log-out-others", laptop), "/?notice=logged-out-others");
    expect(await demo.seen(phone)).toBe("Who are you?");
    expect(await demo.seen(laptop)).toBe("Your devices");
  });

  test("never asks before it logs out this device, or everywhere", async () => {
    await using demo = await visitDemo("memory", { framework, recent: "1ms" });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    const form = { id: thisDevice(await (await demo.get(phone)).text()) };
    await expectRedirect(demo, demo.post("/log-out", phone, form), "/?notice=logged-out");
    await expectRedirect(demo, demo.post("/log-out-everywhere", laptop), "/?notice=logged-out-everywhere");
    expect(await demo.seen(phone)).toBe("Who are you?");
    expect(await demo.seen(laptop)).toBe("Who are you?");
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

/** Returns the id of this device, which is the first on a page. */
function thisDevice(page: string): string {
  return idsOf(page)[0] ?? "";
}

function otherDevice(page: string): string {
  return idsOf(page)[1] ?? "";
}

function idsOf(page: string): readonly string[] {
  return page.match(/(?<=name="id" value=")[^"]+/gu) ?? [];
}

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
