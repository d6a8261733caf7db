/** Appends a line to an error's message, and returns the error. */
export function withNote(error: unknown, note: string): unknown {
  if (!(error instanceof Error)) return error;
  const message = `${error.message}\n${note}`;
  // Some runners print the stack, others the message.
  if (error.stack) error.stack = error.stack.replace(error.message, () => message);
  error.message = message;
  return error;
}
