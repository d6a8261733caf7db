/**
 * Emits a process warning of type `TenureWarning`, once per process and code. `node --disable-warning=CODE`
 * silences it.
 *
 * @param message one line: the fact and the remedy
 * @param about what the warning is about, to emit it once for each of these
 */
export function warnOnce(code: string, message: string, about: string = ""): void {
  const key = `${code} ${about}`;
  if (warned.has(key)) return;
  warned.add(key);
  process.emitWarning(message, { type: "TenureWarning", code });
}

const warned = new Set<string>();
