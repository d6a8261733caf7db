/**
 * Splits one connection's traffic into frames: complete commands and complete replies, so that a fault falls
 * between two of them. Messages that a client library sends by itself (handshake, authentication, monitoring)
 * pass uncounted.
 */
export interface Protocol {
  /** Returns the first frame of the client's data. `undefined`: it is incomplete. */
  readonly fromClient: (bytes: Buffer) => Frame | undefined;
  /** Returns the first frame of the server's data. Its `command` is the one to which it replies. */
  readonly fromServer: (bytes: Buffer) => Frame | undefined;
}

export interface Frame {
  readonly length: number;
  /** The bytes of the command that is counted. Absent: this frame is not counted. */
  readonly command?: Buffer | undefined;
}
