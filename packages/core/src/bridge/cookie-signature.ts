import { createHmac } from "node:crypto";

/**
 * Whether a cookie's value was signed with this secret, as the packages `cookie-signature` and `@fastify/cookie` do: HMAC-SHA-256
 * in base64 without padding. For telling well-known secrets, not for verifying: the comparison is not of constant time.
 */
export function isSignedWith(secret: string, value: string, signature: string): boolean {
  return createHmac("sha256", secret).update(value).digest("base64").replaceAll("=", "") === signature;
}
