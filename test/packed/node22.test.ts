import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Manifest, pnpm, run } from "./pack.ts";

const root = join(import.meta.dirname, "../..");
const node22 = join(root, "test/node_modules/node-22/bin/node");
/** Outside of the workspace, so that no sources are found by chance. */
const house = realpathSync(mkdtempSync(join(tmpdir(), "tenure-node22-")));
const entries: string[] = [];

beforeAll(async () => {
  for (const folder of globSync("packages/*", { cwd: root })) await moveIn(join(root, folder));
}, 300_000);
afterAll(() => rmSync(house, { recursive: true, force: true }));

test("Node 22 is what runs here", async () => {
  expect(await run(house, node22, "--version")).toMatch(/^v22\./u);
});

test("every entry of every package is imported and required by Node 22", async () => {
  expect(entries.length).toBeGreaterThan(8);
  writeFileSync(
    join(house, "entries.mjs"),
    `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
for (const entry of ${JSON.stringify(entries)}) {
  const [imported, required] = [await import(entry), require(entry)];
  if (Object.keys(imported).length === 0 || imported !== required) throw new Error(entry);
}
console.log("all");`,
  );
  expect((await run(house, node22, "entries.mjs")).trim()).toBe("all");
});

test("the memory store keeps every promise on Node 22, under its node:test", async () => {
  writeFileSync(
    join(house, "suite.mjs"),
    `import { describe, test } from "node:test";
import { memoryStore } from "@tenure/core";
import { testStore } from "@tenure/conformance";
const store = memoryStore();
testStore({ describe, test }, { open: () => store, unreachable: null });`,
  );
  const report = await run(house, node22, "--test", "--test-reporter=tap", "suite.mjs");
  expect(report).toMatch(/^# fail 0$/mu);
  expect(Number(/^# pass (\d+)$/mu.exec(report)?.[1])).toBeGreaterThan(100);
});

test("Sessions log in, merge, rotate and log out everywhere on Node 22", async () => {
  writeFileSync(
    join(house, "sessions.mjs"),
    `import { subscribe } from "node:diagnostics_channel";
import { memoryStore, Sessions } from "@tenure/core";
const events = [];
for (const name of ["created", "rotated", "revoked", "conflict-merged", "late-save-dropped"])
  subscribe("tenure:" + name, () => events.push(name));
const sessions = new Sessions({ store: memoryStore(), maxPerUser: 3 });
const { token } = await sessions.create({ cart: [] });
const [one, two] = [await sessions.get(token), await sessions.get(token)];
await sessions.save(one, { cart: ["tea"] });
await sessions.save(two, { cart: [], theme: "dark" });
const login = await sessions.rotate(token, { userId: "ada" });
const listed = await sessions.listForUser("ada");
const ended = await sessions.revokeAllForUser("ada");
const late = await sessions.save(login.session, { cart: ["late"] });
console.log(JSON.stringify({ data: listed.map(({ data }) => data), ended, late, events }));`,
  );
  expect(JSON.parse(await run(house, node22, "sessions.mjs"))).toEqual({
    data: [{ cart: ["tea"], theme: "dark" }],
    ended: 1,
    late: null,
    events: ["created", "conflict-merged", "rotated", "revoked", "revoked", "late-save-dropped"],
  });
});

/** Builds a package as it is published, beside the workspace's own `dist`, which another test packs at the same time. */
async function moveIn(folder: string): Promise<void> {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  const manifest = JSON.parse(text) as Manifest & { readonly name: string };
  const home = join(house, "node_modules", manifest.name);
  await pnpm(folder, "exec", "tsdown", "--out-dir", join(home, "dist"), "--no-dts", "--no-publint");
  writeFileSync(join(home, "package.json"), text);
  entries.push(...Object.keys(manifest.exports).map((path) => join(manifest.name, path)));
  for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const link = join(house, "node_modules", dependency);
    const found = globSync(join(folder, "node_modules", dependency))[0];
    if (dependency.startsWith("@tenure/") || !found || globSync(link).length > 0) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(realpathSync(found), link);
  }
}
