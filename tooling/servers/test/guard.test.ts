import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test, vi } from "vitest";
import { docker } from "../src/container.ts";
import { canStart } from "../src/index.ts";
import { findWay } from "../src/way.ts";

const redis = await canStart("redis");
const postgres = await canStart("postgres");
/** Whether there is a Docker engine. */
const engine = await docker().then(
  () => true,
  () => false,
);

redis.describe("a process that starts servers", () => {
  postgres.describe("and is killed with SIGKILL", () => {
    test("leaves no server and no folder", async () => {
      const script = join(import.meta.dirname, "fixtures", "owner.ts");
      const owner = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
      const [line] = (await once(createInterface(owner.stdout), "line")) as [string];
      const { ports, folder } = JSON.parse(line) as { ports: number[]; folder: string };
      expect(existsSync(join(tmpdir(), folder))).toBe(true);
      await expect(Promise.all(ports.map(listens))).resolves.toEqual([true, true]);
      owner.kill("SIGKILL");
      await expect.poll(() => existsSync(join(tmpdir(), folder))).toBe(false);
      await expect(Promise.all(ports.map(listens))).resolves.toEqual([false, false]);
    });
  });
});

describe.skipIf(!engine)("Docker's registry", () => {
  test("is given up where it takes connections and says nothing", async () => {
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    vi.stubEnv("TENURE_REDIS_IMAGE", `127.0.0.1:${(mute.address() as AddressInfo).port}/redis:8`);
    try {
      await expect(findWay("redis")).resolves.toEqual({
        why: expect.stringContaining("no registry answered") as string,
      });
    } finally {
      vi.unstubAllEnvs();
      mute.close();
    }
  });
});

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
