/** What bridges warn about: the `code` of a process warning. */
export type WarningCode = (typeof CODES)[number];

const CODES = [
  "TENURE_COOKIE_NOT_SECURE",
  "TENURE_COOKIE_NOT_HTTPONLY",
  "TENURE_COOKIE_SAMESITE_NONE",
  "TENURE_COOKIE_NAME",
  "TENURE_SECRET_SHORT",
  "TENURE_STORE_SHARED",
  "TENURE_GENID_UNUSED",
  "TENURE_MAX_AGE_CAPPED",
  "TENURE_COOKIE_NOT_SENT",
] as const;

/** Emits a warning, at most once per code. */
export type Warn = (code: WarningCode, message: string) => void;

/**
 * Warnings through `process.emitWarning`, each code once. `node --disable-warning=CODE` silences one, too.
 *
 * @param silenced codes not to warn about
 * @throws TypeError for anything but a list of codes
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
