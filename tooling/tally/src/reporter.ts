import { appendFileSync } from "node:fs";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule } from "vitest/node";

/**
 * A vitest reporter that appends one line to a file: `passed failed skipped`. `.ci/run` sums the lines of
 * several runs. A file that does not load, a hook that fails and an error outside all tests each count as a
 * failure.
 */
export default class Tally implements Reporter {
  #file: string;

  constructor({ file }: { readonly file: string }) {
    this.#file = file;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = suites.filter((suite) => suite.errors().length > 0).length;
    const passed = count("passed");
    const failed = count("failed") + broken + unhandled.length;
    // A test that never started, for example because its process crashed, counts as skipped.
    const skipped = count("skipped") + count("pending");
    appendFileSync(this.#file, `${passed} ${failed} ${skipped}\n`);
  }
}
