/** The user has not authenticated recently enough for what was asked. */
export class ReauthenticationRequired extends Error {
  override readonly name: string = "ReauthenticationRequired";
  /** For frameworks that read an error's status. */
  readonly status: number = 401;
  /** How recent the authentication must be, milliseconds. */
  readonly maxAge: number;

  /** @param maxAge milliseconds */
  constructor(maxAge: number) {
    super("the user must authenticate again for this");
    this.maxAge = maxAge;
  }

  /** The header `WWW-Authenticate` of RFC 9470, which asks the client for a recent authentication. */
  get challenge(): string {
    return `Session error="insufficient_user_authentication", max_age="${Math.floor(this.maxAge / 1000)}"`;
  }
}
