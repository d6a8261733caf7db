/** What another session store has stored. */
export interface Source extends AsyncDisposable {
  readonly label: string;
  /** About how many sessions there are; `null`: not known. */
  estimate(): Promise<number | null>;
  sessions(): AsyncIterable<SourceSession>;
}

export interface SourceSession {
  /** The framework's session id, which becomes the token. */
  readonly token: string;
  /** As the application sees them. `null`: they cannot be read. */
  readonly data: SourceData | null;
  /** How long the session still lives, milliseconds. `null`: it has no end. */
  readonly left: number | null;
}

export interface SourceData {
  readonly cookie?: { readonly originalMaxAge?: unknown };
  readonly [key: string]: unknown;
}

/**
 * A session's data from JSON text, or from what a driver made of them, in the form in which the bridges of Tenure store them: the cookie last, and
 * without its `expires`, which is derived from the session's own end.
 */
export function dataOf(stored: unknown): SourceData | null {
  let data: unknown;
  try {
    // A driver's own types become what JSON makes of them, as they would in the next save.
    data = JSON.parse(typeof stored === "string" ? stored : JSON.stringify(stored));
  } catch {
    return null;
  }
  if (!isObject(data)) return null;
  const { cookie, ...own } = data;
  if (!isObject(cookie)) return own;
  const { expires: _, _expires: __, ...settings } = cookie;
  return { ...own, cookie: settings };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
