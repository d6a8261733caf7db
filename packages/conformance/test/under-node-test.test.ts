import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, test } from "vitest";

const fixture = fileURLToPath(new URL("under-node-test.fixture.ts", import.meta.url));

describe("Under node:test", { concurrent: true, timeout: 600_000 }, () => {
  test("a correct store passes every sentence", async () => {
    const { output, code } = await nodeTest({});
    assert.equal(code, 0, output);
    assert.match(output, /^# fail 0$/m);
    assert.ok(Number(/^# pass (\d+)$/m.exec(output)?.[1]) > 100, output);
  });

  test("a sabotaged store fails the sentence that it breaks, and the failure prints its seed", async () => {
    const { output, code } = await nodeTest({
      SABOTAGE: "update compares the version, and writes in a later step",
      TENURE_SEED: "20261123",
    });
    assert.equal(code, 1, output);
    assert.match(output, /^ *not ok \d+ - of concurrent updates with one version, exactly one succeeds/m);
    assert.match(output, /^ *ok \d+ - revoke ends a live session and returns true \(ASVS 7\.4\.1\)/m);
    assert.match(output, /replay with TENURE_SEED=20261123/);
  });

  test("a TENURE_SEED that is not a number is an error", async () => {
    const { output, code } = await nodeTest({ TENURE_SEED: "yesterday" });
    assert.equal(code, 1, output);
    assert.match(output, /TENURE_SEED must be the number that a failure printed/);
  });
});

/** Runs the fixture under `node --test`. Resolves to its TAP output and its exit code. */
async function nodeTest(variables: Record<string, string>): Promise<{ output: string; code: unknown }> {
  const args = ["--conditions=@tenure/source", "--test", "--test-reporter=tap", fixture];
  const { NODE_TEST_CONTEXT: _context, ...environment } = process.env;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: { ...environment, ...variables },
      maxBuffer: 2 ** 26,
    });
    return { output: stdout, code: 0 };
  } catch (error) {
    if (!(error instanceof Error && "stdout" in error && "code" in error)) throw error;
    return { output: String(error.stdout), code: error.code };
  }
}
