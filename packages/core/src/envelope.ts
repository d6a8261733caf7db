/**
 * What `Sessions` writes into a record's `data`: a head of fixed width, then the payload, which is the session's data as the codec
 * encoded them.
 *
 * ```
 * at  width
 *   0   1   format version: "1"
 *   1   1   whose the timeouts are: "0" the policy's, "1" the idle timeout is the session's own, "2" the lifetime is, "3" both are
 *   2   1   "v" visible, "h" hidden: between a framework's `regenerate` and the request's save
 *   3   1   what the previous token may do: "-" there is none, "u" it was a user's and may log out, "a" it was an anonymous visitor's,
 *           who may not have been the user
 *   4  13   the idle timeout of the session while it is visible, milliseconds
 *  17  13   the lifetime, milliseconds: it began at the record's `endsAt` less this
 *  30  13   when the previous token was replaced, epoch milliseconds of the store's clock as `Sessions` estimates it
 *  43  43   the digest of the token
 *  86  43   the digest of the previous token, or dashes
 * 129       the payload
 * ```
 * The digests are compared before anything else is decoded.
 */
export interface Head {
  readonly hasOwnIdle: boolean;
  readonly hasOwnLifetime: boolean;
  readonly isHidden: boolean;
  readonly idle: number;
  readonly lifetime: number;
  readonly digest: string;
  readonly previous: PreviousToken | null;
}

/** The token that a session had before its last rotation. */
export interface PreviousToken {
  readonly digest: string;
  /** Epoch milliseconds of the store's clock, estimated. */
  readonly replacedAt: number;
  /** Whether the session had a user then. If not, somebody else may have planted the token. */
  readonly wasUsers: boolean;
}

export function seal(head: Head, payload: string): string {
  const { previous } = head;
  const terms = (head.hasOwnIdle ? 1 : 0) + (head.hasOwnLifetime ? 2 : 0);
  const kind = previous === null ? "-" : previous.wasUsers ? "u" : "a";
  return (
    `${VERSION}${terms}${head.isHidden ? "h" : "v"}${kind}` +
    digits(head.idle) +
    digits(head.lifetime) +
    digits(previous?.replacedAt ?? 0) +
    head.digest +
    (previous?.digest ?? NO_DIGEST) +
    payload
  );
}

/** The head of a record's `data`, or `null` for what this version did not write. */
export function headOf(data: string): Head | null {
  const parts = HEAD.exec(data);
  if (!parts) return null;
  const [, terms, visibility, kind, idle, lifetime, replacedAt, digest, previous] = parts as unknown as Parts;
  return {
    hasOwnIdle: terms === "1" || terms === "3",
    hasOwnLifetime: terms === "2" || terms === "3",
    isHidden: visibility === "h",
    idle: Number(idle),
    lifetime: Number(lifetime),
    digest,
    previous:
      kind === "-" ? null : { digest: previous, replacedAt: Number(replacedAt), wasUsers: kind === "u" },
  };
}

export function payloadOf(data: string): string {
  return data.slice(HEAD_LENGTH);
}

export const HEAD_LENGTH = 129;

const VERSION = "1";
const NO_DIGEST = "-".repeat(43);
const HEAD = /^1([0-3])([vh])([-ua])(\d{13})(\d{13})(\d{13})([\w-]{43})([\w-]{43})/;

type Parts = readonly [
  all: string,
  terms: string,
  visibility: string,
  kind: string,
  idle: string,
  lifetime: string,
  replacedAt: string,
  digest: string,
  previous: string,
];

function digits(value: number): string {
  return String(value).padStart(13, "0");
}
