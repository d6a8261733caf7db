import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test, vi } from "vitest";
import { docker } from "../src/docker.ts";
import { canStart } from "../src/index.ts";
import { findWay } from "../src/way.ts";

const redis = await canStart("redis");
const postgres = await canStart("postgres");
/** Whether there is a Docker engine. */
const engine = await docker().then(
  () => true,
  () => false,
);
const linux = existsSync("/proc/self/stat");

redis.describe("a run", () => {
  postgres.describe("that is killed with SIGKILL", () => {
    test("leaves no server, no folder and no guard", async () => {
      const owner = await startOwner();
      expect(existsSync(owner.folder)).toBe(true);
      owner.kill("SIGKILL");
      await expectGone(owner);
    });

    test.runIf(linux)(
      "is cleared away by the next run where its guard was killed too, which leaves living runs alone",
      async () => {
        const dead = await startOwner();
        const living = await startOwner();
        const guard = guardOf(dead);
        expect(guard).toBeDefined();
        process.kill(guard ?? 0, "SIGKILL");
        dead.kill("SIGKILL");
        await once(dead.child, "exit");
        await expect(listens(dead.redis)).resolves.toBe(true);

        const next = await startOwner();
        await expectGone(dead);
        await expect(listens(living.redis)).resolves.toBe(true);
        await expect(listens(living.postgres)).resolves.toBe(true);
        for (const one of [living, next]) {
          one.kill("SIGKILL");
          await expectGone(one);
        }
      },
    );
  });
});

describe.skipIf(!engine)("Docker's registry", () => {
  test("is given up where it takes connections and says nothing", async () => {
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    vi.stubEnv("TENURE_REDIS_IMAGE", `127.0.0.1:${(mute.address() as AddressInfo).port}/redis:8`);
    try {
      await expect(findWay("redis")).resolves.toEqual({
        by: "nothing",
        why: expect.stringContaining("no registry answered") as string,
      });
    } finally {
      vi.unstubAllEnvs();
      mute.close();
    }
  });
});

interface Owner {
  readonly child: ChildProcess;
  readonly redis: number;
  readonly postgres: number;
  readonly folder: string;
  kill(signal: "SIGKILL"): void;
}

/** A process of its own that has started servers, as a test run would. */
async function startOwner(): Promise<Owner> {
  const script = join(import.meta.dirname, "fixtures", "owner.ts");
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const home = join(tmpdir(), `tenure-servers-${process.getuid?.() ?? "user"}`);
  for await (const line of createInterface(child.stdout)) {
    const ports = JSON.parse(line) as { redis: number; postgres: number };
    const name = readdirSync(home).find((one) => one.split("~")[1] === String(child.pid));
    return {
      child,
      ...ports,
      folder: join(home, name ?? "missing"),
      kill: (signal) => void child.kill(signal),
    };
  }
  throw new Error("The owner ended without having started its servers.");
}

function guardOf(owner: Owner): number | undefined {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const guard = pids.find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`guard.ts\0${owner.folder}`);
    } catch {
      return false;
    }
  });
  return guard === undefined ? undefined : Number(guard);
}

async function expectGone(owner: Owner): Promise<void> {
  await expect.poll(() => existsSync(owner.folder), { timeout: 10_000 }).toBe(false);
  await expect(listens(owner.redis)).resolves.toBe(false);
  await expect(listens(owner.postgres)).resolves.toBe(false);
  if (linux) await expect.poll(() => guardOf(owner), { timeout: 10_000 }).toBeUndefined();
}

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
