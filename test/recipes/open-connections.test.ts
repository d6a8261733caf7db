import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Session, Sessions } from "@tenure/core";
import { redisStore } from "@tenure/redis";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { closeWithSession } from "../readme/companions/docs-OPEN-CONNECTIONS-md/open-connections.ts";

test("the page prints the recipe that is tested here", () => {
  const page = readFileSync(new URL("../../docs/OPEN-CONNECTIONS.md", import.meta.url), "utf8");
  const recipe = new URL(
    "../readme/companions/docs-OPEN-CONNECTIONS-md/open-connections.ts",
    import.meta.url,
  );
  expect(page).toContain(`\`\`\`ts\n${readFileSync(recipe, "utf8")}\`\`\`\n`);
});

const redis = await server("redis");

redis.describe("open connections, with sessions on Redis", () => {
  const clients = [0, 1].map(() => new Redis(redis.url, { lazyConnect: true }));
  afterAll(() => clients.forEach((client) => client.disconnect()));
  const processes = (): [Sessions, Sessions] =>
    clients.map((client) => {
      const store = redisStore(client, { prefix: "open-connections:" });
      return new Sessions({ store });
    }) as [Sessions, Sessions];

  test("a WebSocket and an event stream close when another process logs the user out", async () => {
    const [here, there] = processes();
    await Promise.all(clients.map((client) => client.connect()));
    const open = closeWithSession(here, 50);
    const sockets = new WebSocketServer({ noServer: true });
    const sessionOf = (url = ""): Promise<Session | null> => here.get(url.slice(2), { touch: false });
    const stream = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
      const session = await sessionOf(req.url);
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
    app.listen(0, "127.0.0.1");
    await once(app, "listening");
    const at = `127.0.0.1:${(app.address() as AddressInfo).port}`;

    const [ada, bob] = [await here.logIn(null, "ada"), await here.logIn(null, "bob")];
    const socket = new WebSocket(`ws://${at}/?${ada.token}`);
    const others = new WebSocket(`ws://${at}/?${bob.token}`);
    const opened = Promise.all([socket, others].map((ws) => once(ws, "open")));
    const events = await fetch(`http://${at}/?${ada.token}`);
    await opened;
    const closed = once(socket, "close");
    await there.rotate(ada.token!);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(socket.readyState).toBe(WebSocket.OPEN);

    await there.revokeAllForUser("ada");
    expect((await closed)[0]).toBe(4401);
    expect(await events.text()).toBe("data: hello\n\n");
    expect(others.readyState).toBe(WebSocket.OPEN);
    others.close();
    open.stop();
    app.closeAllConnections();
    app.close();
  });
});

test("connections close when it cannot be known who is logged in", async () => {
  const sessions = { areLive: () => Promise.reject(new Error("down")) } as unknown as Sessions;
  const open = closeWithSession(sessions, 5);
  const closed = await new Promise((resolve) => open.add({} as Session, () => resolve("closed")));
  open.stop();
  expect(closed).toBe("closed");
});
