/**
 * Checks that texts can be stored as UTF-8, which has no lone surrogates: they would all become one and the same character,
 * and different ids the same id.
 *
 * @throws TypeError naming the one that cannot be stored
 */
export function assertWellFormed(texts: Readonly<Record<string, string | null | undefined>>): void {
  for (const name in texts) {
    const text = texts[name];
    if (text !== null && text !== undefined && !text.isWellFormed()) {
      throw new TypeError(`${name} must be a well-formed string: it has a lone surrogate, which UTF-8 lacks`);
    }
  }
}

/**
 * Whether a session can exist under this id or user at all: a lone surrogate was never stored.
 *
 * @throws TypeError for a value that is not a string
 */
export function canBeStored(name: string, text: unknown): boolean {
  if (typeof text !== "string") throw new TypeError(`${name} must be a string, not ${typeof text}`);
  return text.isWellFormed();
}
