/**
 * One connection's traffic, cut into whole commands and whole replies, so that a fault falls between two of them.
 * What a client sends on its own account (greetings, log-in, monitoring) passes uncounted.
 */
export interface Dialogue {
  /** The first whole piece of what the client sent; `undefined`: more must come. */
  readonly fromClient: (bytes: Buffer) => Piece | undefined;
  /** The first whole piece of what the server sent. Its `command` is the one that it answers. */
  readonly fromServer: (bytes: Buffer) => Piece | undefined;
}

export interface Piece {
  readonly length: number;
  /** The command that counts, in the bytes of its protocol. Absent: this piece doesn't count. */
  readonly command?: Buffer | undefined;
}
