/** What the demo keeps in a session. The store holds it encrypted. */
export interface DeviceSession {
  /** What a person recognises a device by: how the browser called itself at the last login, and where it was. */
  device?: { readonly agent: string; readonly address: string };
  note?: string;
}

declare module "express-session" {
  interface SessionData extends DeviceSession {}
}
