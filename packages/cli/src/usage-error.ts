/** An error that the user can correct on the command line. The exit code is 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}
