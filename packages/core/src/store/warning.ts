/**
 * Emits a process warning of type `TenureWarning`, once per process and code. `node --disable-warning=CODE`
 * silences it.
 *
 * @param message one line: the fact and the remedy
 */
export function warnOnce(code: string, message: string): void {
  if (warned.has(code)) return;
  warned.add(code);
  process.emitWarning(message, { type: "TenureWarning", code });
}

const warned = new Set<string>();
