import type { SessionData } from "express-session";

export type Data = SessionData & { readonly userId: string };

/** Returns the data of a session. With the cookie, it has about 0.9 KB of JSON. */
export function sessionData(user: string): Record<string, unknown> {
  return {
    userId: user,
    displayName: `User ${user} of the benchmark`,
    roles: ["customer", "reviewer", "beta"],
    csrf: "bHVyUmxKcVN6b3VJd0p5d2ZkY1Z0T3BxcmFrZ3Zsd1o",
    locale: "de-CH",
    views: 0,
    signedInAt: "2026-11-01T12:00:00.000Z",
    flash: [],
    cart: Array.from({ length: 5 }, (_, i) => ({
      sku: `SKU-${100_000 + i * 7919}`,
      title: "A product whose name is as long as they are",
      quantity: i + 1,
      cents: 1999 + i * 250,
    })),
  };
}

/** Returns the user of a session. Each user has ten. */
export function userOf(session: number): string {
  return `user-${Math.floor(session / 10)}`;
}
