/** The sessions of another session store. */
export interface Source extends AsyncDisposable {
  readonly label: string;
  /** Estimates the number of sessions. `null`: not known. */
  estimate(): Promise<number | null>;
  sessions(): AsyncIterable<SourceSession>;
}

/** Where the other store keeps its sessions. Absent: its default. */
export interface SourceOptions {
  readonly prefix: string | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly collection: string | undefined;
}

export interface SourceSession {
  /** The framework's session id, which becomes the token. */
  readonly token: string;
  /** As the application sees them. `null`: they cannot be read. */
  readonly data: SourceData | null;
  /** The session's remaining time, milliseconds. `null`: it has no end. */
  readonly left: number | null;
}

export interface SourceData {
  readonly cookie?: { readonly originalMaxAge?: unknown };
  readonly [key: string]: unknown;
}

/**
 * Converts a session's data, as JSON text or as a driver's object, to the form in which Tenure's bridges
 * store them: the cookie last and without `expires`, which is derived from the session's end. `null`: these
 * are not session data.
 */
export function dataOf(stored: unknown): SourceData | null {
  let data: unknown;
  try {
    // Converts a driver's types to JSON's, as the next save would.
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
