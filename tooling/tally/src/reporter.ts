import { appendFileSync } from "node:fs";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule } from "vitest/node";

/**
 * A vitest reporter that appends one line to a file: `passed failed skipped`. `.ci/run` sums the lines of
 * several runs. A file that does not load, a hook that fails and an error outside all tests each count as a
 * failure. The failures themselves are appended to `${file}.failures`, which `.ci/run` prints at the end.
 */
export default class Tally implements Reporter {
  #file: string;

  constructor({ file }: { readonly file: string }) {
    this.#file = file;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    const failedTests = tests.filter((test) => test.result().state === "failed");
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = suites.filter((suite) => suite.errors().length > 0);
    const passed = count("passed");
    const failed = failedTests.length + broken.length + unhandled.length;
    // A test that never started, for example because its process crashed, counts as skipped.
    const skipped = count("skipped") + count("pending");
    appendFileSync(this.#file, `${passed} ${failed} ${skipped}\n`);
    const failures = [
      ...[...failedTests, ...broken].map((task) => {
        const errors = task.type === "test" ? task.result().errors : task.errors();
        const name = task.type === "module" ? "" : ` > ${task.fullName}`;
        const { relativeModuleId } = task.type === "module" ? task : task.module;
        return textOf(`${task.project.name} ${relativeModuleId}${name}`, errors ?? []);
      }),
      ...unhandled.map((error) => textOf("outside all tests", [error])),
    ];
    appendFileSync(`${this.#file}.failures`, failures.join(""));
  }
}

/** The name of what failed, and the beginning of each error with its difference and its stack. */
function textOf(name: string, errors: readonly SerializedError[]): string {
  const texts = errors.map(({ message, diff, stacks }) =>
    [message, diff, ...(stacks ?? []).map(({ method, file, line }) => `  at ${method} ${file}:${line}`)]
      .filter(Boolean)
      .join("\n")
      .slice(0, 4000),
  );
  return [`FAILED ${name}`, ...texts, ""].join("\n");
}
