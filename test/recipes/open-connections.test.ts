import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Session, Sessions } from "@tenure/core";
import { redisStore } from "@tenure/redis";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { listen } from "../bridges/listen.ts";
import { closeWithSession } from "../readme/companions/docs-OPEN-CONNECTIONS-md/open-connections.ts";

test("docs/OPEN-CONNECTIONS.md contains the recipe that is tested here", () => {
  const page = readFileSync(new URL("../../docs/OPEN-CONNECTIONS.md", import.meta.url), "utf8");
  const recipe = new URL(
    "../readme/companions/docs-OPEN-CONNECTIONS-md/open-connections.ts",
    import.meta.url,
  );
  expect(page).toContain(`\`\`\`ts\n${readFileSync(recipe, "utf8")}\`\`\`\n`);
});

const redis = await server("redis");

redis.describe("open connections, with sessions on Redis", () => {
  /** Returns sessions with their own client, as another process has. */
  function sessionsOfProcess(): Sessions {
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());
    return new Sessions({ store: redisStore(client, { prefix: "open-connections:" }) });
  }

  test("a WebSocket and an event stream stay open if another process rotates the session, and close if it logs the user out", async () => {
    const [here, there] = [sessionsOfProcess(), sessionsOfProcess()];
    const open = closeWithSession(here, 50);
    const sockets = new WebSocketServer({ noServer: true });
    const sessionOf = (url = ""): Promise<Session | null> => here.get(url.slice(2), { touch: false });
    const stream = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
      const session = await sessionOf(req.url);
      if (res.closed) return;
      res.writeHead(200, { "content-type": "text/event-stream" }).write("data: hello\n\n");
      const closed = open.add(session!, () => res.end());
      res.on("close", closed);
    };
    const app = createServer((req, res) => void stream(req, res));
    app.on("upgrade", (req, socket, head) => {
      void sessionOf(req.url).then((session) =>
        sockets.handleUpgrade(req, socket, head, (ws) => {
          ws.on(
            "close",
            open.add(session!, () => ws.close(4401, "logged out")),
          );
        }),
      );
    });
    const { origin, close } = await listen(app);

    const [ada, bob] = [await here.logIn(null, "ada"), await here.logIn(null, "bob")];
    const socket = new WebSocket(`${origin}/?${ada.token}`);
    const otherSocket = new WebSocket(`${origin}/?${bob.token}`);
    const opened = Promise.all([socket, otherSocket].map((ws) => once(ws, "open")));
    const events = await fetch(`${origin}/?${ada.token}`);
    await opened;
    const closed = once(socket, "close");
    await there.rotate(ada.token!);
    // A few checks, which are 50 ms apart.
    await sleep(200);
    expect(socket.readyState).toBe(WebSocket.OPEN);

    await there.revokeAllForUser("ada");
    expect((await closed)[0]).toBe(4401);
    expect(await events.text()).toBe("data: hello\n\n");
    expect(otherSocket.readyState).toBe(WebSocket.OPEN);
    otherSocket.close();
    open.stop();
    await close();
  });
});

test("a connection whose session has ended is closed once and no longer checked, whether or not it reports its close", async () => {
  const asked: number[] = [];
  const sessions = {
    areLive: (list: unknown[]) => {
      asked.push(list.length);
      return Promise.resolve(list.map(() => false));
    },
  } as unknown as Sessions;
  const open = closeWithSession(sessions, 5);
  let closes = 0;
  open.add({} as Session, () => (closes += 1));
  await expect.poll(() => asked.length).toBeGreaterThan(2);
  open.stop();
  expect({ closes, asked: asked.slice(0, 3) }).toEqual({ closes: 1, asked: [1, 0, 0] });
});

test("connections close if the checks of their sessions keep failing", async () => {
  const sessions = { areLive: () => Promise.reject(new Error("down")) } as unknown as Sessions;
  const open = closeWithSession(sessions, 5);
  const closed = await new Promise((resolve) => open.add({} as Session, () => resolve("closed")));
  open.stop();
  expect(closed).toBe("closed");
});
