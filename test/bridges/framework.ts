import type { Sessions } from "@tenure/core";
import type { Application } from "./application.ts";
import type { ListeningServer } from "./listen.ts";

/** A framework with its bridge. It serves the test application at every path. */
export interface Framework {
  readonly name: string;
  serve(sessions: Sessions, application: Application, settings?: SiteSettings): Promise<Site>;
}

export interface SiteSettings {
  /** Whether every response sets the cookie again. Default false. */
  readonly rolling?: boolean;
  /** The cookie's `maxAge`, milliseconds. Default: none. */
  readonly maxAge?: number;
}

export interface Site extends ListeningServer {
  /** The bridge, or the framework's own store. Absent: the bridge is not an object. */
  readonly store?: unknown;
}

export const SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
