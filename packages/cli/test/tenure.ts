import { PassThrough, Writable } from "node:stream";
import { type ExitCode, run, type Streams } from "../src/index.ts";

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export interface Settings {
  readonly env?: Record<string, string>;
  /** What the user types at the terminal. Absent: there is no terminal. */
  readonly answer?: string;
}

/** Runs a command line in this process, as the program `tenure` does. */
export async function tenure(args: readonly string[], { env = {}, answer }: Settings = {}): Promise<Ran> {
  const isTTY = answer !== undefined;
  const [out, err] = [new Written(isTTY), new Written(isTTY)];
  const stdin: PassThrough & { isTTY?: boolean } = Object.assign(new PassThrough(), { isTTY });
  if (isTTY) stdin.write(`${answer}\n`);
  const streams: Streams = { stdin, stdout: out, stderr: err, env };
  const code = await run(args, streams);
  return { code, out: out.text, err: err.text };
}

/** Runs a command that prints JSON. */
export async function json<Value>(args: readonly string[], settings?: Settings): Promise<Value> {
  const { code, out, err } = await tenure([...args, "--json"], settings);
  if (code === 2 || out === "") throw new Error(`exit code ${code}: ${err}`);
  return JSON.parse(out) as Value;
}

class Written extends Writable {
  text = "";
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
