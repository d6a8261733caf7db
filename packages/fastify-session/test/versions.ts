import { createRequire } from "node:module";
import fastifyCookie from "@fastify/cookie";
import fastifyCookie9 from "@fastify/cookie-9";
import fastifySession from "@fastify/session";
import fastify from "fastify";
import fastify4 from "fastify4";

/** One version of @fastify/session, with the Fastify that it supports. */
export interface Version {
  readonly name: string;
  readonly fastify: typeof fastify;
  readonly cookie: typeof fastifyCookie;
  readonly session: Session;
  /** Whether `regenerate` accepts keys to keep. */
  readonly keepsKeys: boolean;
  /** Whether its `regenerate` destroys the old session. */
  readonly regenerateDestroys: boolean;
  /** Whether it has `request.session.options`. */
  readonly hasOptions: boolean;
  /** Whether a Session can be saved after `reload` with a callback. */
  readonly hasReloadCallback: boolean;
}

type Session = typeof fastifySession;

// Not imported: the types of several versions contradict each other, and would affect every compiled file.
const require = createRequire(import.meta.url);

export const newestVersion: Version = onFastify5("11", fastifySession, {
  hasOptions: true,
  hasReloadCallback: true,
  regenerateDestroys: true,
});

/** The first and the newest version of each major, and the versions between them that behave differently. */
export const versions: readonly Version[] = [
  onFastify4("10.0.0", require("@fastify/session-10.0.0")),
  // Its cookies have setters.
  onFastify4("10.0.2", require("@fastify/session-10.0.2")),
  // Sets the cookie of a session that the application saved explicitly.
  onFastify4("10.4.0", require("@fastify/session-10.4.0")),
  // Saves changes without `rolling` and `maxAge`.
  onFastify4("10.5.0", require("@fastify/session-10.5.0")),
  // Its cookies have `partitioned`.
  onFastify4("10.7.0", require("@fastify/session-10.7.0")),
  // Its cookies have `originalExpires`.
  onFastify4("10.9.0", require("@fastify/session-10.9.0")),
  onFastify5("11.0.0", require("@fastify/session-11.0.0"), { hasOptions: true }),
  onFastify5("11.1.1", require("@fastify/session-11.1.1"), { hasOptions: true }),
  // Keeps the cookie's settings with the session.
  onFastify5("11.1.2", require("@fastify/session-11.1.2"), { hasOptions: true, hasReloadCallback: true }),
  newestVersion,
];

function onFastify4(number: string, session: unknown): Version {
  const framework = { fastify: fastify4, cookie: fastifyCookie9 } as unknown;
  return { ...(framework as Pick<Version, "fastify" | "cookie">), ...version(number, session) };
}

function onFastify5(number: string, session: unknown, traits: Partial<Version>): Version {
  return { fastify, cookie: fastifyCookie, ...version(number, session), ...traits };
}

function version(number: string, session: unknown): Omit<Version, "fastify" | "cookie"> {
  return {
    name: `@fastify/session ${number}`,
    session: session as Session,
    keepsKeys: !["10.0.0", "10.0.2"].includes(number),
    regenerateDestroys: false,
    hasOptions: false,
    hasReloadCallback: false,
  };
}
