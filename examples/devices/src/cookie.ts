/** The cookie of the demo, in the words that all frameworks share. */
export const COOKIE_NAME = "tenure-demo";

/**
 * No `secure` on the loopback, where there is no TLS. An application behind TLS sets it, and names the cookie `__Host-…`.
 */
export const COOKIE = { path: "/", httpOnly: true, sameSite: "lax", secure: false } as const;

export function hasCookie(header = ""): boolean {
  return header.split("; ").some((cookie) => cookie.startsWith(`${COOKIE_NAME}=`));
}
