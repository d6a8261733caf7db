/**
 * Redis keeps bytes, and strings travel as UTF-8, which has no lone surrogates: all of them would become one and the same
 * character, and different ids the same id.
 *
 * @throws TypeError naming the one that can't be stored
 */
export function assertWellFormed(texts: Readonly<Record<string, string | null | undefined>>): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text !== null && text !== undefined && !text.isWellFormed()) {
      throw new TypeError(`${name} must be a well-formed string: it has a lone surrogate, which UTF-8 lacks`);
    }
  }
}

/**
 * Whether there can be anything under this id or user at all.
 *
 * @throws TypeError for what isn't a string
 */
export function canBeStored(name: string, text: unknown): boolean {
  if (typeof text !== "string") throw new TypeError(`${name} must be a string, not ${typeof text}`);
  return text.isWellFormed();
}
