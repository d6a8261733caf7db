/**
 * The demo's options for `secureCookie`. The cookie is not `secure`, because the loopback has no TLS. An
 * application behind TLS needs neither option: its cookie is secure and named `__Host-…`.
 */
export const COOKIE = { name: "tenure-demo", secure: false } as const;

export function hasCookie(header = ""): boolean {
  return header.split("; ").some((cookie) => cookie.startsWith(`${COOKIE.name}=`));
}
