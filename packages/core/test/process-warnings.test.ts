import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

/** Runs a script in a new process, because a warning is printed once per process, and returns its stderr. */
function warningsOf(script: string, env: Record<string, string> = {}): string {
  return stderrOf(["--input-type=module", "--eval", script], env);
}

function stderrOf(args: readonly string[], env: Record<string, string>): string {
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

describe("the warning of data that look like a login, in a session without a user,", () => {
  test.each([
    ["sessions.create({ user: { id: 7 } })", "user", "data.user?.id"],
    ["sessions.create({ user: 'ada' })", "user", "data.user"],
    ["sessions.create({ passport: { user: { id: 7 } } })", "passport", "data.passport?.user?.id"],
    ["sessions.create({ passport: { id: 7 } })", "passport", "data.passport?.id"],
    ["sessions.save((await sessions.create({})).session, { account: 7 })", "account", "data.account"],
    ["sessions.create({ accountId: 7n.toString() })", "accountId", "data.accountId"],
  ])("is printed once, with the code to write: %s", (call, key, user) => {
    const printed = warningsOf(`${sessions()} await ${call}; await ${call};`);
    expect(printed.match(/TENURE_USER_UNKNOWN/g)).toHaveLength(1);
    expect(printed).toContain(`the key ${key}, which looks like a login`);
    expect(printed).toContain(`log in with logIn, or set the option userId`);
    expect(printed).toContain(`new Sessions({ userId: (data) => ${user} })`);
  });

  test.each(["isLoggedIn: true", "loggedIn: 1", "user: true"])(
    "recommends only logIn if the data do not name the user: { %s }",
    (data) => {
      const printed = warningsOf(`${sessions()} await sessions.create({ ${data} });`);
      expect(printed).toMatch(/TENURE_USER_UNKNOWN.* looks like a login.*: log in with logIn$/m);
    },
  );

  test("is not printed if the user is known, if no value can name one, or if the option userId is set", () => {
    const calls = [
      "sessions.create({ userId: 7 })",
      "sessions.create({ user: { id: 7 } }, { userId: 7 })",
      "sessions.create({ user: null, uid: 0, passport: {}, cart: 1 })",
      "new Sessions({ store: memoryStore(), userId: (data) => data.account }).create({ user: { id: 7 } })",
    ];
    const script = calls.map((call) => `await ${call};`).join("\n");
    expect(warningsOf(`${sessions()} ${script}`)).toBe("");
  });
});

describe("memoryStore() in production", () => {
  test("warns once under PM2 and cluster, where each process has separate sessions", () => {
    const script = `${sessions()} memoryStore();`;
    const printed = warningsOf(script, { NODE_ENV: "production", pm_id: "0", instances: "2" });
    expect(printed.match(/TENURE_MEMORY_STORE/g)).toHaveLength(1);
    const workers = stderrOf([join(import.meta.dirname, "cluster.fixture.ts")], { NODE_ENV: "production" });
    expect(workers).toContain("TENURE_MEMORY_STORE");
  });

  test("does not warn in a single process, with or without PM2", () => {
    expect(warningsOf(sessions(), { NODE_ENV: "production" })).toBe("");
    const pm2 = { NODE_ENV: "production", pm_id: "0", instances: "1" };
    expect(warningsOf(sessions(), pm2)).toBe("");
  });
});

test("memoryStore() in development does not warn under PM2", () => {
  expect(warningsOf(sessions(), { NODE_ENV: "development", pm_id: "0" })).toBe("");
});

describe("the warning of a lifetime of more than 30 days (ASVS 7.1.1, NIST 2.1.3)", () => {
  test.each([
    ['lifetime: "31d"', "lifetime"],
    ['idleTimeout: "31d", lifetime: "31d"', "lifetime"],
    ['maxLifetime: "90d"', "maxLifetime"],
  ])("is printed once, with the code to change: %s", (options, name) => {
    const printed = warningsOf(`${sessions(options)} new Sessions({ store: memoryStore(), ${options} });`);
    expect(printed.match(/TenureWarning/g)).toHaveLength(1);
    expect(printed).toContain(`[TENURE_TIMEOUT_LONG] TenureWarning: ${name} is longer than the 30 days`);
    expect(printed).toContain(`new Sessions({ ${name}: "30d" })`);
  });

  test("is not printed for the defaults, or for at most 30 days", () => {
    const longest = ['idleTimeout: "30d", lifetime: "30d"', 'maxIdleTimeout: "14d", maxLifetime: "30d"'];
    const constructed = longest.map((options) => `new Sessions({ store: memoryStore(), ${options} });`);
    expect(warningsOf(`${sessions()} ${constructed.join("\n")}`)).toBe("");
  });
});
