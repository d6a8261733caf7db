import { afterEach, describe, expect, test, vi } from "vitest";
import { cookiesOf, type TestDemo, startTestDemo } from "./test-demo.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(["express", "fastify", "koa"] as const)("the demo on %s", (framework) => {
  test("shows both devices of a person, and logging out everywhere ends both sessions", async () => {
    await using demo = await startTestDemo("memory", { framework });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    expect(phone).not.toBe(laptop);
    expect((await (await demo.get(phone)).text()).match(/<li class="device/gu)).toHaveLength(2);
    await expectRedirect(demo, demo.post("/log-out-everywhere", laptop), "/?notice=logged-out-everywhere");
    expect(await demo.headingFor(laptop)).toBe("Who are you?");
    expect(await demo.headingFor(phone)).toBe("Who are you?");
  });

  test("a request that is running during a logout everywhere does not bring its session back", async () => {
    const [begun, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const work = (): Promise<void> => {
      begun.resolve();
      return finish.promise;
    };
    await using demo = await startTestDemo("memory", { framework, work });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    const slow = demo.post("/slow-note", phone);
    await Promise.race([begun.promise, slow]);
    await demo.post("/log-out-everywhere", laptop);
    finish.resolve();
    await expectRedirect(demo, slow, "/");
    expect(await demo.headingFor(phone)).toBe("Who are you?");
  });

  test("shows each device's user agent and network address, as text", async () => {
    await using demo = await startTestDemo("memory", { framework });
    await demo.signIn("Mozilla/5.0 <b>phone</b>");
    const page = await (await demo.get(await demo.signIn("curl/8.14.1"))).text();
    const shown = page.match(/(?<=<dt>(?:Address|User agent)<\/dt>\s*<dd>).*?(?=<\/dd>)/gu);
    const phone = "Mozilla/5.0 &#60;b&#62;phone&#60;/b&#62;";
    expect(shown).toEqual(["127.0.0.1", "curl/8.14.1", "127.0.0.1", phone]);
  });

  test("encrypts the user agent and the network address in the store", async () => {
    await using demo = await startTestDemo("memory", { framework });
    await demo.signIn("Mozilla/5.0 canary");
    const [record, ...others] = await demo.store.listUser("ada");
    expect(others).toEqual([]);
    expect(record?.data).toMatch(/^2/u);
    expect(JSON.stringify(record)).not.toMatch(/canary|127\.0\.0\.1/u);
  });

  test.each(["/log-out", "/log-out-others"])(
    "%s requires a recent login, and with a new login it logs out the other device and sets a new cookie",
    async (path) => {
      await using demo = await startTestDemo("memory", { framework, recent: "1ms" });
      const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
      const form = { id: otherDevice(await (await demo.get(laptop)).text()) };
      // Another person's login does not count.
      for (const person of [{}, { person: "bo" }]) {
        const challenge = await demo.post(path, laptop, { ...form, ...person });
        expect(challenge.status).toBe(401);
        expect(challenge.headers.get("www-authenticate")).toBe(
          'Session error="insufficient_user_authentication", max_age="0"',
        );
        const page = await challenge.text();
        expect(page).toContain("<h1>Is it still you?</h1>");
        expect(page).toContain(`action="${path}"`);
        expect(page).toContain(`name="id" value="${form.id}"`);
      }
      expect(await demo.headingFor(phone)).toBe("Your devices");

      const done = await demo.post(path, laptop, { ...form, person: "ada" });
      expect(done.status).toBe(303);
      expect(await demo.headingFor(phone)).toBe("Who are you?");
      expect(cookiesOf(done)).not.toBe(laptop);
      expect(await demo.headingFor(cookiesOf(done))).toBe("Your devices");
    },
  );

  test("logs out other devices without a new login if the login is recent", async () => {
    await using demo = await startTestDemo("memory", { framework, recent: "15m" });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    await expectRedirect(demo, demo.post("/log-out-others", laptop), "/?notice=logged-out-others");
    expect(await demo.headingFor(phone)).toBe("Who are you?");
    expect(await demo.headingFor(laptop)).toBe("Your devices");
  });

  test("logs out this device, or everywhere, without requiring a recent login", async () => {
    await using demo = await startTestDemo("memory", { framework, recent: "1ms" });
    const [phone, laptop] = [await demo.signIn(), await demo.signIn()];
    const form = { id: thisDevice(await (await demo.get(phone)).text()) };
    await expectRedirect(demo, demo.post("/log-out", phone, form), "/?notice=logged-out");
    await expectRedirect(demo, demo.post("/log-out-everywhere", laptop), "/?notice=logged-out-everywhere");
    expect(await demo.headingFor(phone)).toBe("Who are you?");
    expect(await demo.headingFor(laptop)).toBe("Who are you?");
  });

  // Another tab of the same browser may be signing in at that moment.
  test("sets or clears no cookie if the request has none", async () => {
    await using demo = await startTestDemo("memory", { framework });
    const { status, headers } = await demo.get();
    expect({ status, cookies: headers.getSetCookie() }).toEqual({ status: 200, cookies: [] });
  });

  test("clears the cookie of a session that has ended, and shows a notice", async () => {
    await using demo = await startTestDemo("memory", { framework });
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
    ["a form without a Content-Length", { body: stream("person=ada"), duplex: "half" } as const, 413],
    ["a method that no page supports", { method: "PUT" }, 404],
  ])("refuses %s, and prints nothing to the terminal", async (_what, request, status) => {
    const terminal = vi.spyOn(console, "error");
    await using demo = await startTestDemo("memory", { framework });
    const headers = { origin: demo.url };
    const response = await fetch(`${demo.url}/sign-in`, { method: "POST", headers, ...request });
    expect(response.status).toBe(status);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(terminal.mock.calls).toEqual([]);
  });

  test.each(["/", "/race", "/style.css", "/nowhere"])(
    "HEAD %s has the status and the content type of a GET, and no body",
    async (path) => {
      await using demo = await startTestDemo("memory", { framework });
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
] as const)(
  "a request that %s itself refuses gets the framework's status and the demo's page",
  async (framework, type) => {
    const terminal = vi.spyOn(console, "error");
    await using demo = await startTestDemo("memory", { framework });
    const headers = { origin: demo.url, "content-type": type };
    const response = await fetch(`${demo.url}/sign-in`, { method: "POST", headers, body: "person=ada" });
    expect(response.status).toBe(415);
    expect(await response.text()).toContain("<h1>Refused</h1>");
    expect(terminal.mock.calls).toEqual([]);
  },
);

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

async function expectRedirect(demo: TestDemo, response: Promise<Response>, location: string): Promise<void> {
  const { status, headers } = await response;
  expect({ status, location: headers.get("location")?.replace(demo.url, "") }).toEqual({
    status: 303,
    location,
  });
}
