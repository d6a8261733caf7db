import type { Chapter } from "../src/chapter.ts";
import { creation } from "../src/chapters/creation.ts";
import { durability } from "../src/chapters/durability.ts";
import { expiry } from "../src/chapters/expiry.ts";
import { hostile } from "../src/chapters/hostile.ts";
import { lifetime } from "../src/chapters/lifetime.ts";
import { records } from "../src/chapters/records.ts";
import { revocation } from "../src/chapters/revocation.ts";
import { revokeAll } from "../src/chapters/revoke-all.ts";
import { updates } from "../src/chapters/updates.ts";
import { userIndex } from "../src/chapters/user-index.ts";

/** The sentences that a fault breaks. */
export interface Caught {
  /** Each of them, every time. */
  readonly by: readonly string[];
  /** By these too, if it happens so: in races, and where the time between two calls decides. */
  readonly perhapsBy?: readonly string[];
  /** It takes an event loop that nothing else delays to see it. */
  readonly alone?: true;
}

/** Two sentences that see everything, if the seed takes them there. */
export const EVER_PERHAPS: readonly string[] = [
  "any sequence of calls and waits is answered as the contract says",
  "concurrent calls of one session have an order that explains every answer",
];

const ABOUT_TOMBSTONES = sentencesOf(revocation, revokeAll);
const ABOUT_TIME = sentencesOf(expiry, lifetime);

/** Where sessions are read, and then compared or waited for: a read that changes them is seen where it came a millisecond later. */
const ABOUT_WHAT_IS_READ = [
  ...ABOUT_TIME,
  ...sentencesOf(records, creation, updates, userIndex, revokeAll, durability, hostile),
];

function sentencesOf(...chapters: readonly Chapter[]): readonly string[] {
  return chapters.flatMap(({ sentences }) => Object.keys(sentences));
}

/** By what is wrong with the store, in the words of `sabotage.ts`. */
export const caught: Readonly<Record<string, Caught>> = {
  "update upserts what it doesn't find": {
    by: [
      "a session in constant use dies at its endsAt (ASVS 7.3.2)",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session whose end has passed already is not created, and nothing is written",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "an id that was never created is null, gone and false",
      "an update creates nothing",
      "an update that was refused binds nothing",
      "gone wins over conflict",
      "names that every object has are ids and users like others",
      "no update revives an expired session (ASVS 7.3.1)",
      "uses that race with the end don't move it (ASVS 7.3.2)",
    ],
    perhapsBy: ["a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)"],
  },
  "update upserts over a tombstone": {
    by: [
      "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)",
      "a session in constant use dies at its endsAt (ASVS 7.3.2)",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session whose end has passed already is not created, and nothing is written",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "an id that was never created is null, gone and false",
      "an update creates nothing",
      "an update that was refused binds nothing",
      "gone wins over conflict",
      "names that every object has are ids and users like others",
      "no update brings a revoked session back (ASVS 7.4.1)",
      "no update revives an expired session (ASVS 7.3.1)",
      "revokeUser ends every session of the user, and says how many (ASVS 7.4.2)",
      "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
      "uses that race with the end don't move it (ASVS 7.3.2)",
      "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    ],
    perhapsBy: ["a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)"],
  },
  "revoke leaves no tombstone": {
    by: [
      "a revoked id is not created again (ASVS 7.4.1)",
      "a tombstone is still there seconds later, whatever was revoked",
      "a tombstone outlives the session's own end (ASVS 7.4.1)",
      "an expired session that is revoked is not created afterwards",
      "an id of any characters is stored exactly, or refused before anything is written",
      "an id that is created and revoked at once ends dead",
      "an unknown id that was revoked is not created afterwards",
      "what revokeUser ended is not created again (ASVS 7.4.2)",
      "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    ],
  },
  "revoke leaves no tombstone for an unknown id": {
    by: [
      "a tombstone is still there seconds later, whatever was revoked",
      "an id that is created and revoked at once ends dead",
      "an unknown id that was revoked is not created afterwards",
    ],
  },
  "revoke leaves no tombstone for an expired session": {
    by: [
      "a tombstone is still there seconds later, whatever was revoked",
      "an expired session that is revoked is not created afterwards",
    ],
  },
  "a tombstone lasts until the session's end and no longer": {
    by: ["a tombstone outlives the session's own end (ASVS 7.4.1)"],
  },
  "revoke says true again and again": {
    by: [
      "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)",
      "a session in constant use dies at its endsAt (ASVS 7.3.2)",
      "an expired session is in no answer, though nobody looked at it before",
      "an id that is created and revoked at once ends dead",
      "an id that was never created is null, gone and false",
      "each session is counted by the one call that ended it",
      "of any number of concurrent revokes of one session, one says true",
      "revoke of a session that is not alive says false",
      "revokeUser ends every session of the user, and says how many (ASVS 7.4.2)",
    ],
  },
  "a tombstone lasts two seconds": {
    by: ["a tombstone is still there seconds later, whatever was revoked"],
    perhapsBy: [...ABOUT_TOMBSTONES],
  },
  "revoke says true of an expired session": {
    by: [
      "an expired session is in no answer, though nobody looked at it before",
      "revoke of a session that is not alive says false",
    ],
  },
  "two revokes both count the same session": {
    by: [
      "an id that is created and revoked at once ends dead",
      "each session is counted by the one call that ended it",
      "of any number of concurrent revokes of one session, one says true",
    ],
  },
  "create looks for a tombstone, and writes later": {
    by: ["an id that is created and revoked at once ends dead"],
  },
  "an update that began before a revoke writes after it": {
    by: [
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
      "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    ],
  },
  "a touch moves endsAt": {
    by: [
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
    ],
    perhapsBy: [...ABOUT_TIME, "an update changes what it names and leaves the rest"],
  },
  "expiresAt is not cut at endsAt": {
    by: [
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "an update with a new idle timeout outlives endsAt": {
    by: ["expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)"],
    perhapsBy: [...ABOUT_TIME],
  },
  "expiry is only by sweeping": {
    by: [
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "an expired session is in no answer, though nobody looked at it before",
      "an expired session is null to read, in every process",
      "create of an id that expired is refused, or begins a new session",
      "gone wins over conflict",
      "listUser has no session that expired",
      "no update revives an expired session (ASVS 7.3.1)",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
      "revoke of a session that is not alive says false",
      "revokeUser counts neither expired nor revoked sessions",
      "the shortest duration, a millisecond, is one",
    ],
    perhapsBy: [
      ...ABOUT_TIME,
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
    ],
  },
  "a session dies 20 ms early": {
    alone: true,
    by: [
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "read knows expiry and update doesn't": {
    by: [
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "gone wins over conflict",
      "no update revives an expired session (ASVS 7.3.1)",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "a session dies 20 ms late": {
    alone: true,
    by: [
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
    ],
    perhapsBy: [
      ...ABOUT_TIME,
      "create of an id that expired is refused, or begins a new session",
      "gone wins over conflict",
      "listUser has no session that expired",
      "revoke of a session that is not alive says false",
      "revokeUser counts neither expired nor revoked sessions",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
      "the shortest duration, a millisecond, is one",
    ],
  },
  "a touch that waited counts by the clock of its start": {
    alone: true,
    by: ["a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)"],
    perhapsBy: [
      ...ABOUT_TIME,
      "a duration that is none is refused before anything is written (ASVS 7.3.1, 7.3.2)",
      "create of an id that expired is refused, or begins a new session",
    ],
  },
  "reading is a use": {
    by: ["reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)"],
    perhapsBy: ABOUT_WHAT_IS_READ,
  },
  "a touch restarts nothing": {
    by: [
      "a session in use outlives the expiresAt that it had (ASVS 7.3.1)",
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "a touch that was answered counts at once, in every process",
      "an update without idle restarts the idle timeout that is stored",
      "now() is the clock that records are written by",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "a new idle timeout is ignored": {
    by: [
      "a new idle timeout, longer or shorter, is in force at once and from then on",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "an update changes what it names and leaves the rest",
      "an update is seen whole or not at all",
      "concurrent updates of different fields all stay",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "an update without idle goes back to the default": {
    by: [
      "a new idle timeout, longer or shorter, is in force at once and from then on",
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "an update changes what it names and leaves the rest",
      "an update without idle restarts the idle timeout that is stored",
      "concurrent updates of different fields all stay",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "createdAt is ignored": {
    by: [
      "a createdAt at the very beginning of the epoch is one",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session that continues another keeps its createdAt and its endsAt (ASVS 7.2.4, 7.3.2)",
      "a session whose end has passed already is not created, and nothing is written",
      "listUser answers the oldest createdAt first",
    ],
  },
  "a createdAt in the future lengthens": {
    by: ["a createdAt that is later than the store's clock counts as now (ASVS 7.3.2)"],
  },
  "createdAt of 0 is none": { by: ["a createdAt at the very beginning of the epoch is one"] },
  "a session whose end has passed is created, dead": {
    by: ["a session whose end has passed already is not created, and nothing is written"],
  },
  "a session whose end has passed takes its id": {
    by: ["a session whose end has passed already is not created, and nothing is written"],
  },
  "revokeUser leaves no tombstones": {
    by: [
      "a tombstone is still there seconds later, whatever was revoked",
      "what revokeUser ended is not created again (ASVS 7.4.2)",
    ],
  },
  "a duration is not checked": {
    by: [
      "a createdAt at the very beginning of the epoch is one",
      "a duration that is none is refused before anything is written (ASVS 7.3.1, 7.3.2)",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "listUser answers the oldest createdAt first",
      "neither a touch, an update nor a late binding changes the order of listUser",
    ],
  },
  "revokeUser drops the whole index at its end": {
    by: [
      "a session created or bound during revokeUser is dead, or wholly there (ASVS 7.4.2)",
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "revokeUser leaves the session in `except` alone (ASVS 7.4.3)",
      "revokeUser without `except` ends the session that was excepted before",
    ],
  },
  "revokeUser goes by a snapshot of the index": {
    by: [
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
    ],
  },
  "revokeUser counts what the index held, expired or not": {
    by: [
      "an expired session is in no answer, though nobody looked at it before",
      "revokeUser counts neither expired nor revoked sessions",
    ],
  },
  "revokeUser counts what another ended": {
    by: [
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "each session is counted by the one call that ended it",
    ],
  },
  "revokeUser ignores except": {
    by: [
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "revokeUser leaves the session in `except` alone (ASVS 7.4.3)",
      "revokeUser without `except` ends the session that was excepted before",
    ],
  },
  "revokeUser with except takes that session out of the index": {
    by: [
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "revokeUser leaves the session in `except` alone (ASVS 7.4.3)",
      "revokeUser without `except` ends the session that was excepted before",
    ],
  },
  "revokeUser keeps all alive when except is no session of the user": {
    by: [
      "an `except` that isn't a session of the user keeps none alive (ASVS 7.4.3)",
      "two sessions that each end all the others leave at most one (ASVS 7.4.3)",
    ],
  },
  "revokeUser also ends users whose name begins the same": {
    by: [
      "an id and a user that would be the same when joined stay apart",
      "revokeUser leaves other users and anonymous sessions alone (ASVS 7.4.5)",
      "users that look alike are different users (ASVS 7.4.2)",
    ],
  },
  "revokeUser ends the first 500": {
    by: ["a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)"],
  },
  "listUser has the first 500": {
    by: ["a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)"],
  },
  "listUser has sessions that expired": {
    by: [
      "an expired session is in no answer, though nobody looked at it before",
      "listUser has no session that expired",
    ],
  },
  "listUser answers the newest first": {
    by: [
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "listUser answers the oldest createdAt first",
      "neither a touch, an update nor a late binding changes the order of listUser",
    ],
  },
  "listUser has sessions that were revoked": {
    by: [
      "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)",
      "a session created after revokeUser lives: the user can sign in again",
      "a session created or bound during revokeUser is dead, or wholly there (ASVS 7.4.2)",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "an id that is created and revoked at once ends dead",
      "an update that was refused binds nothing",
      "listUser has no session that was revoked",
      "names that every object has are ids and users like others",
      "of any number of concurrent revokes of one session, one says true",
      "one of a user's many sessions is written, read and ended as any other",
      "revokeUser ends every session of the user, and says how many (ASVS 7.4.2)",
      "revokeUser leaves the session in `except` alone (ASVS 7.4.3)",
      "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
      "two sessions that each end all the others leave at most one (ASVS 7.4.3)",
      "what isn't a string finds nobody's session",
      "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    ],
  },
  "a rebinding leaves the entry of the old user": {
    by: [
      "a session bound to its own user again, or there and back, is listed once",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a session rebound to another user leaves the first one's list",
      "a session that is unbound leaves its user's list and lives on",
      "after rebindings that raced, the session is in the list of its user and in no other",
      "revokeUser leaves sessions that an update took from the user alone",
    ],
  },
  "listUser answers the longest unused first": {
    by: ["listUser answers the oldest createdAt first"],
    perhapsBy: ["neither a touch, an update nor a late binding changes the order of listUser"],
  },
  "a rebinding makes no entry for the new user": {
    by: [
      "a session bound by an update is in the user's list at once",
      "a session bound to its own user again, or there and back, is listed once",
      "a session created or bound during revokeUser is dead, or wholly there (ASVS 7.4.2)",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a session rebound to another user leaves the first one's list",
      "after rebindings that raced, the session is in the list of its user and in no other",
      "an update that binds to any user is stored exactly, or refused and changes nothing",
      "neither a touch, an update nor a late binding changes the order of listUser",
      "revokeUser ends sessions that an update bound to the user (ASVS 7.4.2)",
      "text that a query language would evaluate is kept as text",
      "what one process was answered, every other sees at once",
    ],
  },
  "a rebinding writes the old user's index late": {
    by: ["after rebindings that raced, the session is in the list of its user and in no other"],
  },
  "an update that is refused makes an entry all the same": {
    by: ["an update that was refused binds nothing"],
  },
  "userId null is taken for absent": {
    by: [
      "a session that is unbound leaves its user's list and lives on",
      "an update changes what it names and leaves the rest",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
      "revokeUser leaves sessions that an update took from the user alone",
      "the version is 1 at first and grows by 1 with data or userId, the same value or not",
    ],
  },
  "a create that is refused makes an entry all the same": {
    by: [
      "a create that was refused binds nothing",
      "of any number of concurrent creates of one id, one says true and is what is stored",
    ],
  },
  "create overwrites": {
    by: [
      "a create that was refused binds nothing",
      "create of an id that is alive says false and changes nothing",
      "of any number of concurrent creates of one id, one says true and is what is stored",
    ],
  },
  "create looks first and writes later": {
    by: ["of any number of concurrent creates of one id, one says true and is what is stored"],
  },
  "the version is compared, and written later": {
    by: [
      "counting with versions loses no count",
      "of concurrent updates with one version, one is made and the others conflict",
    ],
  },
  "a touch writes the whole record back": { by: ["concurrent updates of different fields all stay"] },
  "a version is counted from what was read before": {
    by: [
      "concurrent updates of different fields all stay",
      "concurrent updates without a version are all made, one after the other",
    ],
  },
  "an update is written in two halves": { by: ["an update is seen whole or not at all"] },
  "a conflict restarts the idle timeout": {
    by: ["an update with another version is a conflict and changes nothing"],
    perhapsBy: [
      "a version that no session ever has is never the one that is stored",
      "an update that was refused binds nothing",
    ],
  },
  "conflict is said of what is gone": {
    by: [
      "an id that was never created is null, gone and false",
      "gone wins over conflict",
      "no update brings a revoked session back (ASVS 7.4.1)",
      "no update revives an expired session (ASVS 7.3.1)",
    ],
  },
  "gone is said of a conflict": {
    by: [
      "a version that no session ever has is never the one that is stored",
      "an update that was refused binds nothing",
      "an update with another version is a conflict and changes nothing",
      "counting with versions loses no count",
      "of concurrent updates with one version, one is made and the others conflict",
    ],
  },
  "ifVersion is ignored": {
    by: [
      "a version that no session ever has is never the one that is stored",
      "an update that was refused binds nothing",
      "an update with another version is a conflict and changes nothing",
      "counting with versions loses no count",
      "of concurrent updates with one version, one is made and the others conflict",
    ],
  },
  "ifVersion is ignored when it is 0": {
    by: ["a version that no session ever has is never the one that is stored"],
  },
  "the version grows with a touch": {
    by: [
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "an update without idle restarts the idle timeout that is stored",
      "concurrent updates of different fields all stay",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
      "the version never grows with a touch or a new idle timeout",
    ],
  },
  "the version doesn't grow with the same value": {
    by: ["the version is 1 at first and grows by 1 with data or userId, the same value or not"],
  },
  "the version grows twice with data and userId": {
    by: ["the version is 1 at first and grows by 1 with data or userId, the same value or not"],
  },
  "the version begins with 0": {
    by: [
      "a session is read as it was created",
      "a session that continues another keeps its createdAt and its endsAt (ASVS 7.2.4, 7.3.2)",
      "a version that no session ever has is never the one that is stored",
      "acknowledged writes in a row are all there, in their order",
      "an update with another version is a conflict and changes nothing",
      "an update with the version that is stored is made",
      "an update without idle restarts the idle timeout that is stored",
      "concurrent updates of different fields all stay",
      "concurrent updates without a version are all made, one after the other",
      "counting with versions loses no count",
      "create of an id that expired is refused, or begins a new session",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
      "of any number of concurrent creates of one id, one says true and is what is stored",
      "of concurrent updates with one version, one is made and the others conflict",
      "the version is 1 at first and grows by 1 with data or userId, the same value or not",
      "the version never grows with a touch or a new idle timeout",
    ],
  },
  "touches are kept back for a while": {
    by: [
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "a touch that was answered counts at once, in every process",
      "an update without idle restarts the idle timeout that is stored",
      "now() is the clock that records are written by",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "an update with empty data keeps the old": {
    by: [
      "an update changes what it names and leaves the rest",
      "an update with any data is stored exactly, or refused and changes nothing",
    ],
  },
  "each process keeps what it read for five seconds": {
    by: [
      "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)",
      "a session created or bound during revokeUser is dead, or wholly there (ASVS 7.4.2)",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a touch that was answered counts at once, in every process",
      "a user's sessions are listed and ended whole when they are many (ASVS 7.4.2)",
      "an id of any characters is stored exactly, or refused before anything is written",
      "an update changes what it names and leaves the rest",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
      "revokeUser ends every session of the user, and says how many (ASVS 7.4.2)",
      "revokeUser ends sessions that an update bound to the user (ASVS 7.4.2)",
      "revokeUser leaves sessions that an update took from the user alone",
      "revokeUser without `except` ends the session that was excepted before",
      "two sessions that each end all the others leave at most one (ASVS 7.4.3)",
      "what one process was answered, every other sees at once",
    ],
    perhapsBy: [...ABOUT_TIME, "create of an id that expired is refused, or begins a new session"],
  },
  "lone surrogates are replaced": {
    by: [
      "ids that look alike are different sessions",
      "users that look alike are different users (ASVS 7.4.2)",
    ],
  },
  "text is cut at 255 characters": {
    by: ["an id or a user of a megabyte is stored exactly, or refused before anything is written"],
  },
  "text is trimmed": {
    by: [
      "ids that look alike are different sessions",
      "users that look alike are different users (ASVS 7.4.2)",
    ],
  },
  "text is cut at NUL": {
    by: [
      "an id and a user that would be the same when joined stay apart",
      "an update that binds to any user is stored exactly, or refused and changes nothing",
      "ids that look alike are different sessions",
      "users that look alike are different users (ASVS 7.4.2)",
    ],
  },
  "ids are compared without case": { by: ["ids that look alike are different sessions"] },
  "users are compared without case": {
    by: [
      "revokeUser leaves other users and anonymous sessions alone (ASVS 7.4.5)",
      "users that look alike are different users (ASVS 7.4.2)",
    ],
  },
  "ids are normalized": { by: ["ids that look alike are different sessions"] },
  "users are normalized": { by: ["users that look alike are different users (ASVS 7.4.2)"] },
  "data is trimmed": {
    by: [
      "an update with any data is stored exactly, or refused and changes nothing",
      "data of any characters is stored exactly, or refused before anything is written",
    ],
  },
  "data is cut at 65,535 characters": {
    by: ["data of some megabytes is stored exactly, or refused before anything is written"],
  },
  "data that looks like a field is taken for it": {
    by: [
      "an update with any data is stored exactly, or refused and changes nothing",
      "data of any characters is stored exactly, or refused before anything is written",
      "text that a query language would evaluate is kept as text",
    ],
  },
  "data is a replacement pattern": {
    by: [
      "an update with any data is stored exactly, or refused and changes nothing",
      "data of any characters is stored exactly, or refused before anything is written",
      "text that a query language would evaluate is kept as text",
    ],
  },
  "the empty user is nobody": {
    by: [
      "the empty user is a user and not nobody, or is refused",
      "what isn't a string is refused before anything is written, or stored as what it is",
    ],
  },
  "anonymous sessions belong to the user null": {
    by: ["an anonymous session belongs to no user, whatever that user is called"],
  },
  "id and user are joined with a colon": {
    by: ["an id and a user that would be the same when joined stay apart"],
  },
  "the index is an object with a prototype": {
    by: ["names that every object has are ids and users like others"],
  },
  "what isn't a string becomes one": {
    by: ["what isn't a string is refused before anything is written, or stored as what it is"],
  },
  "an object is taken for a query": { by: ["what isn't a string finds nobody's session"] },
  "scan misses anonymous sessions": {
    by: [
      "a scan can be left early, and another begun",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
      "scan has every session that is alive throughout, whatever is written meanwhile",
    ],
  },
  "scan has the dead": {
    by: ["scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)"],
  },
  "scan answers doubles": {
    by: [
      "a scan can be left early, and another begun",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
    ],
  },
  "now() is the application's clock, ten minutes off": {
    by: [
      "a createdAt that is later than the store's clock counts as now (ASVS 7.3.2)",
      "a session in constant use dies at its endsAt (ASVS 7.3.2)",
      "a session in use outlives the expiresAt that it had (ASVS 7.3.1)",
      "a session is read as it was created",
      "a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session that continues another keeps its createdAt and its endsAt (ASVS 7.2.4, 7.3.2)",
      "a session that is written many times keeps its createdAt",
      "a session whose idle timeout was lengthened lives by the new one",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a tombstone is still there seconds later, whatever was revoked",
      "a tombstone outlives the session's own end (ASVS 7.4.1)",
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "a touch that was answered counts at once, in every process",
      "an expired session is in no answer, though nobody looked at it before",
      "an expired session is null to read, in every process",
      "an expired session that is revoked is not created afterwards",
      "an update with another version is a conflict and changes nothing",
      "an update without idle restarts the idle timeout that is stored",
      "create of an id that expired is refused, or begins a new session",
      "gone wins over conflict",
      "listUser has no session that expired",
      "no update revives an expired session (ASVS 7.3.1)",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
      "now() is the clock that records are written by",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
      "reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)",
      "revoke of a session that is not alive says false",
      "revokeUser counts neither expired nor revoked sessions",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
      "uses that race with the end don't move it (ASVS 7.3.2)",
    ],
  },
  "scan misses what is written meanwhile": {
    by: ["scan has every session that is alive throughout, whatever is written meanwhile"],
  },
  "a record has a field of the backend": {
    by: [
      "a create that was refused binds nothing",
      "a record holds what the contract names and nothing else",
      "a session bound by an update is in the user's list at once",
      "a session bound to its own user again, or there and back, is listed once",
      "a session created after revokeUser lives: the user can sign in again",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a session rebound to another user leaves the first one's list",
      "a user of any characters is stored exactly, or refused before anything is written (ASVS 7.4.2)",
      "after rebindings that raced, the session is in the list of its user and in no other",
      "an id and a user that would be the same when joined stay apart",
      "an id is never taken for a user, nor a user for an id",
      "an update that binds to any user is stored exactly, or refused and changes nothing",
      "an update that was refused binds nothing",
      "create of an id that expired is refused, or begins a new session",
      "listUser answers the user's live sessions, as read answers them (ASVS 7.5.2)",
      "listUser has no session that expired",
      "listUser has no session that was revoked",
      "of any number of concurrent creates of one id, one says true and is what is stored",
      "revokeUser leaves the session in `except` alone (ASVS 7.4.3)",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
      "users that look alike are different users (ASVS 7.4.2)",
      "what one process was answered, every other sees at once",
    ],
  },
  "an update of a dead session is an error": {
    by: [
      "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)",
      "a session rebound to another user during revokeUser is ended as the first's or lives as the second's",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session whose end has passed already is not created, and nothing is written",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "an id that was never created is null, gone and false",
      "an update creates nothing",
      "an update that was refused binds nothing",
      "gone wins over conflict",
      "names that every object has are ids and users like others",
      "no update brings a revoked session back (ASVS 7.4.1)",
      "no update revives an expired session (ASVS 7.3.1)",
      "revokeUser ends every session of the user, and says how many (ASVS 7.4.2)",
      "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
      "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    ],
    perhapsBy: [...ABOUT_TIME],
  },
  "now() is in seconds": {
    by: [
      "a createdAt that is later than the store's clock counts as now (ASVS 7.3.2)",
      "a session in constant use dies at its endsAt (ASVS 7.3.2)",
      "a session in use outlives the expiresAt that it had (ASVS 7.3.1)",
      "a session is read as it was created",
      "a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)",
      "a session that continues an old one dies at the old one's end (ASVS 7.3.2)",
      "a session that continues another keeps its createdAt and its endsAt (ASVS 7.2.4, 7.3.2)",
      "a session that is written many times keeps its createdAt",
      "a session whose idle timeout was lengthened lives by the new one",
      "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
      "a tombstone is still there seconds later, whatever was revoked",
      "a tombstone outlives the session's own end (ASVS 7.4.1)",
      "a touch counts at an instant of its call, and moves touchedAt and expiresAt alone",
      "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)",
      "a touch that was answered counts at once, in every process",
      "an expired session is in no answer, though nobody looked at it before",
      "an expired session is null to read, in every process",
      "an expired session that is revoked is not created afterwards",
      "an update with another version is a conflict and changes nothing",
      "an update without idle restarts the idle timeout that is stored",
      "create of an id that expired is refused, or begins a new session",
      "gone wins over conflict",
      "listUser answers the oldest createdAt first",
      "listUser has no session that expired",
      "neither a touch, an update nor a late binding changes the order of listUser",
      "no update revives an expired session (ASVS 7.3.1)",
      "nothing that is called moves endsAt (ASVS 7.3.2)",
      "now() is epoch milliseconds, whole, and goes on as time does",
      "now() is the clock that records are written by",
      "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)",
      "reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)",
      "revoke of a session that is not alive says false",
      "revokeUser counts neither expired nor revoked sessions",
      "scan has every live session once, as read answers it, and no dead one (ASVS 7.4.5)",
      "uses that race with the end don't move it (ASVS 7.3.2)",
    ],
  },
};
