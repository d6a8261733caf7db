import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

/** Warnings are given once per process, so each case has one of its own. */
function warningsOf(script: string, env: Record<string, string> = {}): string {
  return printedBy(["--input-type=module", "--eval", script], env);
}

function printedBy(args: readonly string[], env: Record<string, string>): string {
  const run = spawnSync(process.execPath, ["--conditions=@tenure/source", ...args], {
    cwd: join(import.meta.dirname, ".."),
    timeout: 60_000,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (run.status !== 0) throw new Error(run.stderr);
  return run.stderr;
}

const sessions = (options = ""): string => `
  import { memoryStore, Sessions } from "@tenure/core";
  const sessions = new Sessions({ store: memoryStore(), ${options} });`;

describe("data that look like a login in a session of nobody", () => {
  test.each([
    ["sessions.create({ user: { id: 7 } })", "user", "data.user?.id"],
    ["sessions.create({ user: 'ada' })", "user", "data.user"],
    ["sessions.create({ passport: { user: { id: 7 } } })", "passport", "data.passport?.user?.id"],
    ["sessions.create({ passport: { id: 7 } })", "passport", "data.passport?.id"],
    ["sessions.save((await sessions.create({})).session, { account: 7 })", "account", "data.account"],
    ["sessions.create({ accountId: 7n.toString() })", "accountId", "data.accountId"],
  ])("are warned about once, with the line to write: %s", (call, key, user) => {
    const printed = warningsOf(`${sessions()} await ${call}; await ${call};`);
    expect(printed.match(/TENURE_USER_UNKNOWN/g)).toHaveLength(1);
    expect(printed).toContain(`the key ${key}, which looks like a login`);
    expect(printed).toContain(`log in with logIn, or set the option userId`);
    expect(printed).toContain(`new Sessions({ userId: (data) => ${user} })`);
  });

  test.each(["isLoggedIn: true", "loggedIn: 1", "user: true"])(
    "are warned about without an option to set, where they do not name the user: { %s }",
    (data) => {
      const printed = warningsOf(`${sessions()} await sessions.create({ ${data} });`);
      expect(printed).toMatch(/TENURE_USER_UNKNOWN.* looks like a login.*: log in with logIn$/m);
    },
  );

  test.each([
    ["sessions.create({ userId: 7 })", ""],
    ["sessions.create({ user: null, uid: 0, passport: {}, cart: 1 })", ""],
    ["sessions.create({ user: { id: 7 } })", "userId: (data) => data.account"],
    ["sessions.create({ user: { id: 7 } }, { userId: 7 })", ""],
  ])("are not seen in %s", (call, options) => {
    expect(warningsOf(`${sessions(options)} await ${call};`)).not.toContain("TENURE_USER_UNKNOWN");
  });
});

describe("memoryStore() in production", () => {
  test("warns once under PM2 and cluster, where each process has sessions of its own", () => {
    const script = `${sessions()} memoryStore();`;
    const printed = warningsOf(script, { NODE_ENV: "production", pm_id: "0" });
    expect(printed.match(/TENURE_MEMORY_STORE/g)).toHaveLength(1);
    const workers = printedBy([join(import.meta.dirname, "cluster.fixture.ts")], { NODE_ENV: "production" });
    expect(workers).toContain("TENURE_MEMORY_STORE");
  });

  test("does not warn in one process, or in development", () => {
    expect(warningsOf(sessions(), { NODE_ENV: "production" })).not.toContain("TENURE_MEMORY_STORE");
    expect(warningsOf(sessions(), { NODE_ENV: "development", pm_id: "0" })).not.toContain(
      "TENURE_MEMORY_STORE",
    );
  });
});

describe("a lifetime of more than 30 days (ASVS 7.1.1, NIST 2.1.3)", () => {
  test.each([
    ['lifetime: "31d"', "lifetime"],
    ['idleTimeout: "31d", lifetime: "31d"', "lifetime"],
    ['maxLifetime: "90d"', "maxLifetime"],
  ])("is warned about once, with the line to change: %s", (options, name) => {
    const printed = warningsOf(`${sessions(options)} new Sessions({ store: memoryStore(), ${options} });`);
    expect(printed.match(/TenureWarning/g)).toHaveLength(1);
    expect(printed).toContain(`[TENURE_TIMEOUT_LONG] TenureWarning: ${name} is longer than the 30 days`);
    expect(printed).toContain(`new Sessions({ ${name}: "30d" })`);
  });

  test.each(["", 'idleTimeout: "30d", lifetime: "30d"', 'maxIdleTimeout: "14d", maxLifetime: "30d"'])(
    "is not seen in { %s }",
    (options) => expect(warningsOf(sessions(options))).toBe(""),
  );
});
