/** What bridges warn about, as the `code` of a process warning. No bridge gives them all. */
export type WarningCode = (typeof CODES)[number];

const CODES = [
  "TENURE_COOKIE_NOT_SECURE",
  "TENURE_COOKIE_NOT_HTTPONLY",
  "TENURE_COOKIE_SAMESITE_NONE",
  "TENURE_COOKIE_NAME",
  "TENURE_SECRET_SHORT",
  "TENURE_SECRET_WELL_KNOWN",
  "TENURE_STORE_SHARED",
  "TENURE_WEAK_ID",
] as const;

/** Warns of one thing, at most once. */
export type Warn = (code: WarningCode, message: string) => void;

/**
 * Warnings through `process.emitWarning`, each code once: a listener of the process's event `"warning"` gets them, and
 * `node --disable-warning=CODE` silences one.
 *
 * @param silenced codes to say nothing of
 * @throws TypeError for what is no list of codes
 */
export function warnOnce(silenced: readonly WarningCode[] = []): Warn {
  if (!Array.isArray(silenced) || !silenced.every((code) => CODES.includes(code))) {
    throw new TypeError(`silence must be a list of codes: ${CODES.join(", ")}`);
  }
  const done = new Set<WarningCode>(silenced);
  return (code, message) => {
    if (done.has(code)) return;
    done.add(code);
    process.emitWarning(message, { type: "TenureWarning", code });
  };
}
