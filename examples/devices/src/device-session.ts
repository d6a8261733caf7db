/** What the demo keeps in a session. */
export interface DeviceSession {
  userId?: string;
  /** The browser's own words at sign-in. */
  userAgent?: string;
  note?: string;
}

declare module "express-session" {
  interface SessionData extends DeviceSession {}
}
