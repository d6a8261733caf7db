/**
 * What the demo tells `secureCookie`. Not `secure`, because there is no TLS on the loopback. An application behind TLS gives neither, so
 * that its cookie is secure and named `__Host-…`.
 */
export const COOKIE = { name: "tenure-demo", secure: false } as const;

export function hasCookie(header = ""): boolean {
  return header.split("; ").some((cookie) => cookie.startsWith(`${COOKIE.name}=`));
}
