/** koa-session's own keys among a session's data, as they are stored. */
export interface OwnData {
  /** When the cookie ends, epoch milliseconds, if not every response moves it. The option `renew` needs it. */
  readonly _expire?: number;
  /** The cookie's `maxAge` in milliseconds, if it has one. */
  readonly _maxAge?: number;
  /** The cookie ends with the browser. */
  readonly _session?: true;
}

/** Session data as they are stored: the application's keys and the framework's own. */
export type StoredData = OwnData & Readonly<Record<string, unknown>>;

export function ownData({ _expire, _maxAge, _session }: StoredData): OwnData {
  return {
    ...(typeof _expire === "number" ? { _expire } : {}),
    ...(typeof _maxAge === "number" ? { _maxAge } : {}),
    ...(_session ? { _session: true } : {}),
  };
}

/** The application's keys of what koa-session saves. */
export function applicationData({ _expire, _maxAge, _session, ...data }: StoredData): StoredData {
  return data;
}

/**
 * The part of stored data that koa-session's Session can hold, and that it gives back on a save. Other names would replace its methods
 * or its prototype, or be lost. The very same object if nothing is left out.
 */
export function shownData<Data extends object>(data: Data): Data {
  if (!Object.keys(data).some(isReserved)) return data;
  return Object.fromEntries(Object.entries(data).filter(([key]) => !isReserved(key))) as Data;
}

function isReserved(key: string): boolean {
  if (key.startsWith("_")) return !OWN.has(key);
  return key in Object.prototype || MEMBERS.has(key);
}

const OWN = new Set(["_expire", "_maxAge", "_session"]);

/** The members of Session in koa-session 6.4 and 7.0. */
const MEMBERS = new Set([
  "isNew",
  "toJSON",
  "inspect",
  "length",
  "populated",
  "maxAge",
  "externalKey",
  "save",
  "regenerate",
  "manuallyCommit",
  "commit",
]);
