import fastifyCookie from "@fastify/cookie";
import fastifyCookie9 from "@fastify/cookie-9";
import fastifySession from "@fastify/session";
import session10 from "@fastify/session-10";
import session10First from "@fastify/session-10.0";
import session11First from "@fastify/session-11.0";
import fastify from "fastify";
import fastify4 from "fastify4";

/** One version of @fastify/session, on the Fastify that it is for. */
export interface Version {
  readonly name: string;
  readonly fastify: typeof fastify;
  readonly cookie: typeof fastifyCookie;
  readonly session: typeof fastifySession;
  /** Whether its `regenerate` destroys the old session. */
  readonly regenerateDestroys: boolean;
  /** Whether `request.session.options` is there. */
  readonly hasOptions: boolean;
  /** Whether `reload` takes a callback without harm. */
  readonly hasReloadCallback: boolean;
}

const on4 = { fastify: fastify4, cookie: fastifyCookie9 } as unknown as Pick<Version, "fastify" | "cookie">;
const on5 = { fastify, cookie: fastifyCookie };

/** The first and the newest of each major version. */
export const versions: readonly Version[] = [
  {
    name: "@fastify/session 10.0.0",
    ...on4,
    session: session10First as unknown as typeof fastifySession,
    regenerateDestroys: false,
    hasOptions: false,
    hasReloadCallback: false,
  },
  {
    name: "@fastify/session 10",
    ...on4,
    session: session10,
    regenerateDestroys: false,
    hasOptions: false,
    hasReloadCallback: false,
  },
  {
    name: "@fastify/session 11.0.0",
    ...on5,
    session: session11First,
    regenerateDestroys: false,
    hasOptions: true,
    hasReloadCallback: false,
  },
  {
    name: "@fastify/session 11",
    ...on5,
    session: fastifySession,
    regenerateDestroys: true,
    hasOptions: true,
    hasReloadCallback: true,
  },
];
