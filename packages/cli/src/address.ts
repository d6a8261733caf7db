import { UsageError } from "./usage-error.ts";

/** Where a store or a source is, parsed from its URL. */
export type Address = RedisAddress | PostgresAddress | MongoAddress | SqliteAddress;

export interface RedisAddress {
  readonly backend: "redis";
  readonly topology: "standalone" | "sentinel" | "cluster";
  readonly hosts: readonly Host[];
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  /** The primary's name, as the Sentinels know it. */
  readonly primary: string | undefined;
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
  readonly label: string;
}

export interface PostgresAddress {
  readonly backend: "postgres";
  readonly url: string;
  readonly label: string;
}

export interface MongoAddress {
  readonly backend: "mongo";
  readonly url: string;
  readonly database: string;
  readonly label: string;
}

export interface SqliteAddress {
  readonly backend: "sqlite";
  readonly path: string;
  readonly label: string;
}

export interface Host {
  readonly host: string;
  readonly port: number;
}

/**
 * Parses the URL of a server or a file. `label` is the URL without its password and parameters, for output.
 *
 * @throws UsageError which never quotes the URL
 */
export function addressOf(url: string): Address {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (
    scheme === "sqlite" ||
    ((scheme === undefined || scheme.length === 1) && /\.(?:db|sqlite3?)$/i.test(url))
  ) {
    return sqliteAddress(url);
  }
  const [, userinfo = "", hosts, path = "", query = ""] = URL_PARTS.exec(url) ?? [];
  if (scheme === undefined || hosts === undefined) {
    throw new UsageError(`This is not the URL of a store. ${KNOWN}`);
  }
  // A password with one of these characters would be parsed as a host or a path, and printed.
  if (userinfo === "" && url.includes("@")) {
    throw new UsageError("In the URL's user and password, write / as %2F, ? as %3F, # as %23 and @ as %40");
  }
  const label = `${scheme}://${masked(userinfo)}${hosts}${path}`;
  if (scheme in REDIS) return redisAddress(scheme, { userinfo, hosts, path, query, label });
  if (scheme === "postgres" || scheme === "postgresql") {
    if (!hosts.includes(",")) return { backend: "postgres", url, label };
    throw new UsageError("postgres:// takes one host: name the primary");
  }
  if (scheme === "mongodb" || scheme === "mongodb+srv") {
    const database = decoded(path.slice(1));
    if (database !== "") return { backend: "mongo", url, database, label };
    throw new UsageError(
      "Name the database in the URL: mongodb://host/shop. If the user is in another database, add ?authSource=admin",
    );
  }
  throw new UsageError(`Unknown kind of store: ${scheme}. ${KNOWN}`);
}

const KNOWN =
  "Known URLs: redis://, rediss://, redis+sentinel://, redis+cluster:// (rediss+… with TLS), postgres://, mongodb://, mongodb+srv://, sqlite:///path/of/a/file";

/** `scheme://user:password@host:port,host:port/path?query`. The class URL parses one host only. */
const URL_PARTS = /^[a-z][a-z\d+.-]*:\/\/(?:([^/?#]*)@)?([^/?#@]*)(\/[^?#]*)?(?:\?([^#]*))?/i;

const REDIS: Readonly<Record<string, Pick<RedisAddress, "topology" | "tls">>> = {
  redis: { topology: "standalone", tls: false },
  rediss: { topology: "standalone", tls: true },
  "redis+sentinel": { topology: "sentinel", tls: false },
  "rediss+sentinel": { topology: "sentinel", tls: true },
  "redis+cluster": { topology: "cluster", tls: false },
  "rediss+cluster": { topology: "cluster", tls: true },
};

interface Parts {
  readonly userinfo: string;
  readonly hosts: string;
  readonly path: string;
  readonly query: string;
  readonly label: string;
}

function redisAddress(scheme: string, { userinfo, hosts, path, query, label }: Parts): RedisAddress {
  const { topology, tls } = REDIS[scheme] as Pick<RedisAddress, "topology" | "tls">;
  const names = path.split("/").filter((name) => name !== "");
  const primary = topology === "sentinel" ? names.shift() : undefined;
  if (topology === "sentinel" && primary === undefined) {
    throw new UsageError(
      "Name the primary that the Sentinels watch: redis+sentinel://host:26379,host:26379/mymaster",
    );
  }
  const [db = "0", ...others] = names;
  if (others.length > 0 || !/^\d+$/.test(db) || (topology === "cluster" && db !== "0")) {
    throw new UsageError("After the host, give the number of a database; a Cluster has only 0");
  }
  const list = hosts.split(",").map((one) => hostOf(one, topology === "sentinel" ? 26_379 : 6379));
  if (topology === "standalone" && list.length > 1) {
    throw new UsageError("redis:// takes one host. For several, use redis+sentinel:// or redis+cluster://");
  }
  const colon = userinfo.indexOf(":");
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined || (topology !== "sentinel" && query !== "")) {
    throw new UsageError(
      `Unknown parameter in the URL. redis+sentinel:// takes ${PARAMETERS.join(", ")}; other URLs take none`,
    );
  }
  return {
    backend: "redis",
    topology,
    tls,
    hosts: list,
    username: decoded(colon === -1 ? userinfo : userinfo.slice(0, colon)) || undefined,
    password: (colon === -1 ? "" : decoded(userinfo.slice(colon + 1))) || undefined,
    db: Number(db),
    primary: primary === undefined ? undefined : decoded(primary),
    sentinelUsername: parameters.get("sentinelUsername") ?? undefined,
    sentinelPassword: parameters.get("sentinelPassword") ?? undefined,
    label,
  };
}

/** `sqlite:///var/app/sessions.db`, `sqlite:sessions.db`, or the path alone. */
function sqliteAddress(url: string): SqliteAddress {
  const isUrl = /^sqlite:/i.test(url);
  const path = isUrl ? decoded(url.replace(/^sqlite:(?:\/\/)?/i, "")) : url;
  if (path === "" || path === ":memory:" || path.includes("?")) {
    throw new UsageError("Name the file of a SQLite store: sqlite:///var/app/sessions.db, or its path alone");
  }
  return { backend: "sqlite", path, label: path };
}

const PARAMETERS = ["sentinelUsername", "sentinelPassword"];

function hostOf(text: string, usualPort: number): Host {
  const [, v6, name, port] = /^(?:\[([\da-f:.%]+)\]|([^:[\]]+))(?::(\d+))?$/i.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined) throw new UsageError("The URL has no host, or an invalid one");
  return { host, port: port === undefined ? usualPort : Number(port) };
}

function masked(userinfo: string): string {
  if (userinfo === "") return "";
  const colon = userinfo.indexOf(":");
  return `${colon === -1 ? userinfo : `${userinfo.slice(0, colon)}:***`}@`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError("The URL contains a % that is not an escape: write it as %25");
  }
}

/**
 * Returns a URL's password, and parameters that may hold one, in each form in which a driver's error may
 * quote them.
 */
export function secretsIn(url: string): string[] {
  const [, userinfo = "", , , query = ""] = URL_PARTS.exec(url) ?? [];
  const colon = userinfo.indexOf(":");
  const password = colon === -1 ? "" : userinfo.slice(colon + 1);
  const values = query.split("&").map((pair) => pair.slice(pair.indexOf("=") + 1));
  const parameters = /password|secret|token|key/i.test(query) ? values : [];
  const secrets = [password, ...parameters].filter((text) => text !== "");
  if (secrets.length > 0) secrets.push(url);
  const readable = secrets.flatMap((text) => {
    try {
      return [text, decodeURIComponent(text)];
    } catch {
      return [text];
    }
  });
  // A secret of one or two characters is easily guessed, and masking it would blank half of a message.
  return [...new Set(readable)].filter(({ length }) => length > 2).toSorted((a, b) => b.length - a.length);
}
