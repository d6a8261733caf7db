import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { UsageError } from "./usage-error.ts";

/** The streams and the environment of a run, such as `process`. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable;
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Writes results to `stdout`, as text or as JSON, and everything else to `stderr`. */
export class Terminal {
  readonly #streams: Streams;
  readonly #json: boolean;
  readonly #yes: boolean;

  constructor(streams: Streams, options: { readonly json: boolean; readonly yes: boolean }) {
    this.#streams = streams;
    this.#json = options.json;
    this.#yes = options.yes;
  }

  /** Writes the result of a command: `text`, or `value` with `--json`. */
  result(value: unknown, text: string): void {
    this.#streams.stdout.write(this.#json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
  }

  note(text: string): void {
    this.#streams.stderr.write(`${text}\n`);
  }

  /**
   * Asks for confirmation of something that cannot be undone. `false`: the user declined.
   *
   * @throws UsageError if there is neither a terminal nor `--yes`
   */
  async confirms(question: string): Promise<boolean> {
    if (this.#yes) return true;
    const { stdin, stderr } = this.#streams;
    if (stdin.isTTY !== true || stderr.isTTY !== true) {
      throw new UsageError(
        `${question} This cannot be undone, and there is no terminal to ask on: add --yes`,
      );
    }
    const lines = createInterface({ input: stdin, output: stderr });
    try {
      const answer = await lines.question(`${question} This cannot be undone. [y/N] `);
      return /^y(?:es)?$/i.test(answer.trim());
    } finally {
      lines.close();
    }
  }

  /** Works under a progress bar, drawn only on a terminal. `total` is `null` if it is not known. */
  async progress<Result>(
    label: string,
    total: number | null,
    work: (progress: Progress) => Promise<Result>,
  ): Promise<Result> {
    const { stderr } = this.#streams;
    const progress = new Progress(stderr.isTTY === true ? stderr : null, label, total);
    try {
      return await work(progress);
    } finally {
      progress.clear();
    }
  }
}

export class Progress {
  readonly #out: Streams["stderr"] | null;
  readonly #label: string;
  readonly #total: number | null;
  #done = 0;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(out: Streams["stderr"] | null, label: string, total: number | null) {
    this.#out = out;
    this.#label = label;
    this.#total = total;
    this.add(0);
  }

  add(count: number): void {
    this.#done += count;
    const now = performance.now();
    if (this.#out === null || now - this.#drawnAt < 100) return;
    this.#drawnAt = now;
    const line = progressLine(this.#label, this.#done, this.#total);
    this.#out.write(`\r${line.slice(0, (this.#out.columns ?? 80) - 1)}\u001B[K`);
  }

  clear(): void {
    this.#out?.write("\r\u001B[K");
  }
}

/** If the estimated total turns out too small, the bar stays full. */
export function progressLine(label: string, done: number, total: number | null): string {
  if (total === null || total <= 0) return `${label}: ${done}`;
  const part = Math.min(1, done / total);
  const filled = Math.round(part * WIDTH);
  const bar = "#".repeat(filled) + "-".repeat(WIDTH - filled);
  return `${label}: [${bar}] ${Math.floor(part * 100)}% ${done}/${Math.max(done, total)}`;
}

const WIDTH = 24;
