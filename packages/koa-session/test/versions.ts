import session from "koa-session";
import session6 from "koa-session-6";

export interface Version {
  readonly name: string;
  readonly makeSession: typeof session;
}

export const versions: readonly Version[] = [
  { name: "koa-session 6", makeSession: session6 },
  { name: "koa-session 7", makeSession: session },
];
