/** What the demo keeps in a session. */
export interface DeviceSession {
  /** What the browser called itself at sign-in. */
  userAgent?: string;
  note?: string;
}

declare module "express-session" {
  interface SessionData extends DeviceSession {}
}
