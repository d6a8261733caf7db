/**
 * Refuses a login or a rotation in a response that has begun: it could not bring the new token, and the
 * browser's would be dead.
 *
 * @param hasBegun whether the response's headers have left
 * @throws TypeError if they have
 */
export function assertNotBegun(hasBegun: boolean): void {
  if (!hasBegun) return;
  throw new TypeError(
    "the response has begun, so it cannot bring the session's new token to the browser: await logIn and rotate before you respond",
  );
}
