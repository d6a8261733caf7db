import { createRequire } from "node:module";
import fastifyCookie from "@fastify/cookie";
import fastifyCookie9 from "@fastify/cookie-9";
import fastifySession from "@fastify/session";
import fastify from "fastify";
import fastify4 from "fastify4";

/** One version of @fastify/session, on the Fastify that it is for. */
export interface Version {
  readonly name: string;
  readonly fastify: typeof fastify;
  readonly cookie: typeof fastifyCookie;
  readonly session: Session;
  /** Whether `regenerate` takes keys to keep. */
  readonly keepsKeys: boolean;
  /** Whether its `regenerate` destroys the old session. */
  readonly regenerateDestroys: boolean;
  /** Whether `request.session.options` is there. */
  readonly hasOptions: boolean;
  /** Whether `reload` takes a callback without harm. */
  readonly hasReloadCallback: boolean;
}

type Session = typeof fastifySession;

// Not imported: the types of several versions contradict each other, and reach every file of a compilation.
const require = createRequire(import.meta.url);

/** The first and the newest of each major version, and those between them that behave differently. */
export const versions: readonly Version[] = [
  on4("10.0.0", require("@fastify/session-10.0.0")),
  // Its cookies have setters.
  on4("10.0.2", require("@fastify/session-10.0.2")),
  // Sets the cookie of a session that the application saved itself.
  on4("10.4.0", require("@fastify/session-10.4.0")),
  // Saves changes without `rolling` and `maxAge`.
  on4("10.5.0", require("@fastify/session-10.5.0")),
  // Its cookies have `partitioned`.
  on4("10.7.0", require("@fastify/session-10.7.0")),
  // Its cookies have `originalExpires`.
  on4("10.9.0", require("@fastify/session-10.9.0")),
  on5("11.0.0", require("@fastify/session-11.0.0"), { hasOptions: true }),
  on5("11.1.1", require("@fastify/session-11.1.1"), { hasOptions: true }),
  // Keeps the cookie's settings with the session.
  on5("11.1.2", require("@fastify/session-11.1.2"), { hasOptions: true, hasReloadCallback: true }),
  on5("11", fastifySession, { hasOptions: true, hasReloadCallback: true, regenerateDestroys: true }),
];

function on4(number: string, session: unknown): Version {
  const framework = { fastify: fastify4, cookie: fastifyCookie9 } as unknown;
  return { ...(framework as Pick<Version, "fastify" | "cookie">), ...version(number, session) };
}

function on5(number: string, session: unknown, traits: Partial<Version>): Version {
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
