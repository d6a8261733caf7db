/**
 * Splits one connection's traffic into whole commands and whole replies, so that a fault falls between two of
 * them. Messages that a client library sends by itself (handshake, authentication, monitoring) pass
 * uncounted.
 */
export interface Dialogue {
  /** Returns the first whole piece of the client's data. `undefined`: it is incomplete. */
  readonly fromClient: (bytes: Buffer) => Piece | undefined;
  /** Returns the first whole piece of the server's data. Its `command` is the one to which it replies. */
  readonly fromServer: (bytes: Buffer) => Piece | undefined;
}

export interface Piece {
  readonly length: number;
  /** The bytes of the command that is counted. Absent: this piece is not counted. */
  readonly command?: Buffer | undefined;
}
