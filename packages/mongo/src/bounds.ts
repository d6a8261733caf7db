/**
 * Refuses what is no string, so that no filter is ever made of an object, and what BSON can't hold: the driver would put
 * U+FFFD for each lone surrogate without a word, and so make two ids one.
 *
 * @throws TypeError
 */
export function assertStorable(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== "string") {
      throw new TypeError(`${name} must be a string, not ${value === null ? "null" : typeof value}`);
    }
    if (!value.isWellFormed()) {
      throw new TypeError(`${name} holds a lone surrogate, which MongoDB can't store: encode it first`);
    }
  }
}

/**
 * Refuses a session that no document can hold, or no command. What the command holds twice is to be given twice.
 *
 * @throws TypeError
 */
export function assertFits(...strings: readonly string[]): void {
  const units = strings.reduce((sum, value) => sum + value.length, 0);
  if (units * MOST_BYTES_A_UNIT <= MOST_BYTES) return;
  const bytes = strings.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  if (bytes > MOST_BYTES) {
    throw new TypeError(
      `the session's strings are ${bytes} bytes, and a MongoDB document holds 16 MiB with all that belongs to it: ` +
        `at most ${MOST_BYTES}`,
    );
  }
}

/** UTF-8 for one UTF-16 code unit. */
const MOST_BYTES_A_UNIT = 3;

/** MongoDB's limit of a document (16 MiB), less what else a session's document holds. */
const MOST_BYTES = 16 * 1024 * 1024 - 4096;
