/** koa-session's own keys among a session's data, as they are stored. */
export interface OwnData {
  /** The cookie's own end, epoch milliseconds, where not every response moves it. `renew` goes by it. */
  readonly _expire?: number;
  /** The cookie's `maxAge` in milliseconds, where it has one. */
  readonly _maxAge?: number;
  /** The cookie ends with the browser. */
  readonly _session?: true;
}

/** Session data as it is stored: the application's keys, and the framework's own. */
export type StoredData = OwnData & Readonly<Record<string, unknown>>;

export function ownData({ _expire, _maxAge, _session }: StoredData): OwnData {
  return {
    ...(typeof _expire === "number" ? { _expire } : {}),
    ...(typeof _maxAge === "number" ? { _maxAge } : {}),
    ...(_session ? { _session: true } : {}),
  };
}

/**
 * What an application is to see of stored data. Left out are names by which koa-session's Session would lose its methods or
 * its prototype, and those that it doesn't give back on a save: what isn't seen isn't deleted.
 */
export function applicationData(data: StoredData): StoredData {
  return Object.fromEntries(Object.entries(data).filter(([key]) => !isReserved(key)));
}

function isReserved(key: string): boolean {
  return key.startsWith("_") || key in Object.prototype || MEMBERS.has(key);
}

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
