/** The demo's session data, which are encrypted in the store. */
export interface DeviceSession {
  /** What a user recognises a device by: the user agent and the network address at the last login. */
  device?: { readonly agent: string; readonly address: string };
  note?: string;
}

declare module "express-session" {
  interface SessionData extends DeviceSession {}
}
