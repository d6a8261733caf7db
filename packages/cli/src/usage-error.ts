/** What the person at the command line can correct. The exit code is 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}
