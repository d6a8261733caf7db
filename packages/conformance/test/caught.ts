/** The sentences that must catch a fault, in the words of `sabotage.ts`. Others may catch it too. */
export const caught: Readonly<Record<string, readonly string[]>> = {
  "update upserts what it does not find": [
    "an update creates nothing",
    "every result of any sequence of calls and waits is one that the contract allows",
  ],
  "update upserts over a tombstone": ["no update brings a revoked session back (ASVS 7.4.1)"],
  "revoke leaves no tombstone": ["a revoked id is not created again (ASVS 7.4.1)"],
  "revoke leaves no tombstone for an unknown id": ["an unknown id that was revoked is not created"],
  "revoke leaves no tombstone for an expired session": [
    "an expired session that was revoked is not created again",
  ],
  "a tombstone lasts until the session's end and no longer": [
    "a tombstone outlives the session's own end, whatever ended the session (ASVS 7.4.1)",
  ],
  "a tombstone lasts two seconds": [
    "a tombstone still exists seconds later, whatever was revoked and however often",
  ],
  "revoke always says false": ["revoke ends a live session and returns true (ASVS 7.4.1)"],
  "revoke says true again and again": [
    "for an id that was never created, read is null, update is gone and revoke is false",
    "revoke of a session that is not alive returns false",
  ],
  "revoke says true of an expired session": ["revoke of a session that is not alive returns false"],
  "two revokes both count the same session": ["of concurrent revokes of one session, one returns true"],
  "create looks for a tombstone, and writes later": [
    "an id that is created and revoked concurrently ends up dead",
  ],
  "an update that began before a revoke writes after it": [
    "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    "concurrent calls of one session have an order that explains every result",
  ],
  "a touch moves endsAt": ["no update without a lifetime moves endsAt (ASVS 7.3.2)"],
  "expiresAt is not cut at endsAt": [
    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)",
    "a session in constant use dies at its endsAt (ASVS 7.3.2)",
  ],
  "an update with a new idle timeout outlives endsAt": [
    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)",
  ],
  "expiry is only by sweeping": ["read returns null for an expired session, in every process"],
  "a session dies 20 ms early": [
    "read returns a session until its expiresAt, and null from then on (ASVS 7.3.1)",
  ],
  "a session dies 20 ms late": [
    "a touch succeeds until expiresAt, and returns gone from then on (ASVS 7.3.1)",
  ],
  "read knows expiry and update does not": [
    "no update revives an expired session (ASVS 7.3.1)",
    "uses that race with the end do not move it (ASVS 7.3.2)",
  ],
  "reading is a use": ["reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)"],
  "a duration below a second counts as a second": ["the shortest duration is a millisecond"],
  "a write restarts createdAt": ["a session that is written many times keeps its createdAt"],
  "a touch restarts nothing": [
    "a touch counts at an instant of its call and moves touchedAt and expiresAt alone",
    "a session in use outlives the expiresAt that it had (ASVS 7.3.1)",
  ],
  "a new idle timeout is ignored": [
    "a new idle timeout, longer or shorter, applies immediately and from then on",
    "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
    "a session whose idle timeout was lengthened lives by the new one",
  ],
  "an update without idle goes back to the default": [
    "an update without idle restarts the stored idle timeout",
  ],
  "a duration is not checked": [
    "an invalid duration is refused before anything is written (ASVS 7.3.1, 7.3.2)",
  ],
  "revokeUser leaves no tombstones": ["a session that revokeUser ended is not created again (ASVS 7.4.2)"],
  "revokeUser goes by a snapshot of the index": [
    "a session that changes its user during revokeUser is ended as the first user's or lives as the second's",
  ],
  "revokeUser drops the whole index at its end": [
    "a session created or bound during revokeUser is dead, or readable and listed (ASVS 7.4.2)",
  ],
  "revokeUser counts what another ended": ["each session is counted by the one call that ended it"],
  "revokeUser counts what the index held, expired or not": [
    "revokeUser counts neither expired nor revoked sessions",
  ],
  "revokeUser returns at least 1": ["revokeUser of a user without sessions returns 0"],
  "revokeUser spares the latest session": [
    "revokeUser ends every session of the user and returns their number (ASVS 7.4.2)",
  ],
  "revokeUser spares what another call excepts": [
    "two sessions that each end all others leave at most one (ASVS 7.4.3)",
  ],
  "revokeUser also ends the session whose id is the user's name": [
    "an id is never taken for a user, nor a user for an id",
  ],
  "revokeUser ignores except": ["revokeUser leaves the session in `except` alone (ASVS 7.4.3)"],
  "revokeUser keeps all alive when except is no session of the user": [
    "an `except` that is not a session of the user keeps none alive (ASVS 7.4.3)",
  ],
  "revokeUser with except takes that session out of the index": [
    "revokeUser without `except` ends the session that was excepted before",
  ],
  "revokeUser also ends users whose name begins the same": [
    "revokeUser leaves other users and anonymous sessions alone (ASVS 7.4.5)",
  ],
  "revokeUser ends the first 1,000": ["all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)"],
  "revokeUser ends the first 10,000": ["all 20,000 sessions of a user are listed and ended (ASVS 7.4.2)"],
  "listUser has the first 1,000": ["all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)"],
  "users with the same short hash share a list": ["each of a thousand users has a separate list"],
  "a session stays in a long list when it is revoked": [
    "one of a user's many sessions is written, read and ended like any other",
  ],
  "listUser leaves the data out": [
    "listUser returns the user's live sessions, as read returns them (ASVS 7.5.2)",
  ],
  "a user without sessions is an error": ["listUser of a user without sessions is empty"],
  "listUser has sessions that expired": [
    "an expired session is in no result, even if nothing has read it since",
    "listUser leaves out expired sessions",
  ],
  "listUser has sessions that were revoked": ["listUser leaves out revoked sessions"],
  "listUser has the newest first": ["listUser returns the oldest createdAt first"],
  "listUser has the longest unused first": [
    "no update changes the order of listUser, nor does a late binding",
  ],
  "a rebinding leaves the entry of the old user": [
    "a session bound to another user leaves the first user's list",
    "revokeUser leaves sessions alone that an update has taken from the user",
  ],
  "a rebinding makes no entry for the new user": [
    "revokeUser ends sessions that an update has bound to the user (ASVS 7.4.2)",
    "a session bound by an update is in the user's list immediately",
  ],
  "a rebinding writes the old user's index late": [
    "after concurrent changes of its user, a session is in the list of its user and in no other",
  ],
  "userId null is taken for absent": [
    "a session that loses its user leaves the list and lives on",
    "an update changes the fields that it names and no others",
  ],
  "an update that is refused makes an entry all the same": ["an update that was refused binds nothing"],
  "a create that is refused makes an entry all the same": ["a create that was refused binds nothing"],
  "create overwrites": ["create of an id that is alive is refused as taken and changes nothing"],
  "create of an expired id goes on with its version": [
    "create of an id that expired is refused, or begins a new session",
  ],
  "create looks first and writes later": [
    "of concurrent creates of one id, exactly one succeeds and is stored",
  ],
  "the version is compared, and written later": [
    "counting with versions loses no count",
    "of concurrent updates with one version, exactly one succeeds and the others conflict",
  ],
  "a touch writes the whole record back": ["concurrent updates of different fields are all kept"],
  "a version is counted from what was read before": [
    "concurrent updates without a version all succeed, one after the other",
  ],
  "an update is written in two halves": ["an update is read whole or not at all"],
  "a conflict restarts the idle timeout": [
    "an update with another version is a conflict and changes nothing",
  ],
  "conflict is said of what is gone": ["gone wins over conflict"],
  "gone is said of a conflict": ["an update with another version is a conflict and changes nothing"],
  "ifVersion is ignored": ["an update with another version is a conflict and changes nothing"],
  "ifVersion is ignored when it is 0": ["a version that no session can have is never the stored one"],
  "the version grows with a touch": ["the version never grows with a touch or a new idle timeout"],
  "the version grows twice with data and userId": [
    "the version is 1 at first and grows by 1 with data, userId, lifetime or authenticatedAt, changed or not",
  ],
  "the version does not grow with the same value": [
    "the version is 1 at first and grows by 1 with data, userId, lifetime or authenticatedAt, changed or not",
  ],
  "the version begins with 0": ["an update with the stored version succeeds"],
  "an update with empty data keeps the old": [
    "an update with any data is stored exactly, or refused and changes nothing",
  ],
  "a write is acknowledged before it is made": ["all acknowledged writes are kept, in their order"],
  "touches are kept back for a while": ["an acknowledged touch counts immediately, in every process"],
  "each process has a backend of its own": [
    "the two stores that `open` returns share one backend",
    "every process reads the same record",
  ],
  "each process keeps what it read for five seconds": [
    "a revoked session is immediately dead to every process (ASVS 7.4.1, 7.5.2)",
    "a write acknowledged to one process is visible to every other immediately",
  ],
  "lone surrogates are replaced": ["ids that look alike are different sessions"],
  "text is cut at NUL": ["ids that look alike are different sessions"],
  "NUL is lost from ids": [
    "an id of any characters is stored exactly, or refused before anything is written",
  ],
  "NUL is lost from users": [
    "an update that binds to any user is stored exactly, or refused and changes nothing",
    "a user of any characters is stored exactly, or refused before anything is written (ASVS 7.4.2)",
  ],
  "text is cut at 255 characters": [
    "an id or a user of a megabyte is stored exactly, or refused before anything is written",
  ],
  "text is trimmed": ["ids that look alike are different sessions"],
  "ids are compared without case": ["ids that look alike are different sessions"],
  "users are compared without case": ["users that look alike are different users (ASVS 7.4.2)"],
  "ids are normalized": ["ids that look alike are different sessions"],
  "users are normalized": ["users that look alike are different users (ASVS 7.4.2)"],
  "data is trimmed": ["data of any characters is stored exactly, or refused before anything is written"],
  "data is cut at 65,535 characters": [
    "data of some megabytes is stored exactly, or refused before anything is written",
  ],
  "data that looks like a field is taken for it": [
    "data of any characters is stored exactly, or refused before anything is written",
    "text that a query language would evaluate is stored as text",
  ],
  "data is a replacement pattern": [
    "data of any characters is stored exactly, or refused before anything is written",
  ],
  "nobody is the empty user": ["a session without a user has the user null"],
  "the empty user is nobody": ["the empty user is a user like any other, or is refused"],
  "anonymous sessions belong to the user null": [
    "an anonymous session belongs to no user, whatever that user is called",
  ],
  "the index is an object with a prototype": [
    "names that every JavaScript object has are ids and users like any others",
  ],
  "id and user are joined with a colon": ["an id and a user that would be the same when joined stay apart"],
  "what is not a string becomes one": [
    "a value that is not a string is refused before anything is written, or stored unchanged",
  ],
  "an object is taken for a query": ["a value that is not a string finds no session"],
  "scan misses anonymous sessions": [
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  ],
  "scan has sessions twice": ["a scan can be abandoned, and another started"],
  "scan has the dead": [
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  ],
  "scan misses what is written meanwhile": [
    "scan returns every session that is alive throughout, whatever is written meanwhile",
  ],
  "now() is the application's clock, ten minutes off": [
    "now() is the clock of the instants in records",
    "a session is read as it was created",
  ],
  "now() is in seconds": ["now() is whole epoch milliseconds and advances as time does"],
  "a record has a field of the backend": ["a record has the fields of the contract and no others"],
  "an update of a dead session is an error": [
    "for an id that was never created, read is null, update is gone and revoke is false",
  ],
  "revokeUser leaves no fence": ["a login that began before revokeUser is refused after it (ASVS 7.4.2)"],
  "a login looks for the fence, and writes later": [
    "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)",
  ],
  "revokeUser ends sessions, and fences later": [
    "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)",
  ],
  "revokeUser resolves before the clock is past the fence": [
    "a login that begins after revokeUser is accepted: the clock is past the fence",
  ],
  "a login without an instant is refused for a second after a revokeUser": [
    "a create or a binding without authenticatedAt counts as made after every fence so far",
    "a session created after revokeUser lives: the user can log in again",
  ],
  "revokeUser ends what was authenticated up to its clock, not up to the last fence": [
    "a session created or bound during a revokeUser is within reach of the next one",
  ],
  "a login at the very instant of the fence is accepted": [
    "a fence refuses a login at its instant and accepts one a millisecond later",
  ],
  "authenticatedUpTo is ignored": [
    "authenticatedUpTo ends only sessions that were authenticated at or before it",
  ],
  "authenticatedUpTo spares what was authenticated at that instant": [
    "authenticatedUpTo ends only sessions that were authenticated at or before it",
  ],
  "an authenticatedUpTo in the future counts as now": [
    "an authenticatedUpTo in the future is a TypeError and ends nothing",
  ],
  "an authenticatedUpTo in the future is refused after the fence was written": [
    "an authenticatedUpTo in the future is a TypeError and ends nothing",
  ],
  "an instant that is not one is taken for absent": [
    "an instant that is not epoch milliseconds is a TypeError, before anything is written",
  ],
  "a later revokeUser lowers the fence": ["a later revokeUser never lowers the fence"],
  "revokeUser reads the fence, and writes it later": [
    "of concurrent calls of revokeUser the latest fence remains",
  ],
  "a login may be as old as it likes": [
    "a login older than the tombstone minimum is refused, whether or not there is a fence",
  ],
  "a login of the user who is there already may be as old as it likes": [
    "a login older than the tombstone minimum is refused, whether or not there is a fence",
  ],
  "a login older than a minute is refused": [
    "a login within the tombstone minimum is accepted if there is no fence",
  ],
  "a fence also concerns users whose name begins the same": ["a fence concerns one user alone (ASVS 7.4.5)"],
  "one fence is everybody's": ["a fence concerns one user alone (ASVS 7.4.5)"],
  "an update that is refused leaves the session alive": [
    "an update that was refused has ended the session, as revoke would",
  ],
  "an update that is refused leaves no tombstone": [
    "an update that was refused has ended the session, as revoke would",
  ],
  "a create that is refused is stored all the same": ["a create that was refused leaves nothing readable"],
  "fenced is said of an id that is taken": ["taken wins over fenced, and conflict and gone do too"],
  "fenced is said before conflict": ["taken wins over fenced, and conflict and gone do too"],
  "the same user again is a binding": [
    "the session in `except` survives revokeUser, and setting the same user again is not a binding",
  ],
  "the same user again counts as a login": [
    "the session in `except` survives revokeUser, and setting the same user again is not a binding",
  ],
  "a session that was excepted once is never fenced": [
    "the session in `except` is fenced like any other once it has left its user",
  ],
  "revokeUser ends the excepted session if it is written meanwhile": [
    "the session in `except` lives through revokeUser, whatever is written meanwhile",
  ],
  "authenticatedAt stays when the user is gone": [
    "authenticatedAt is null exactly while a session has no user",
  ],
  "an anonymous session keeps the authenticatedAt that it is given": [
    "authenticatedAt is null exactly while a session has no user",
  ],
  "an authenticatedAt in the future is stored": [
    "authenticatedAt is stored exactly, and counts as now if it is absent or in the future",
  ],
  "authenticatedAt is in seconds": [
    "authenticatedAt is stored exactly, and counts as now if it is absent or in the future",
  ],
  "authenticatedAt decreases": ["authenticatedAt never decreases while the session has a user"],
  "authenticatedAt decreases when the user changes": [
    "authenticatedAt never decreases while the session has a user",
  ],
  "touch false is ignored": ["an update with touch false is not a use: it restarts nothing"],
  "touch true is taken for false": ["an update with touch false is not a use: it restarts nothing"],
  "a new idle timeout with touch false counts from now": [
    "a new idle timeout with touch false counts from the last use",
  ],
  "a lifetime in an update is ignored": [
    "a lifetime in an update restarts endsAt from now, longer or shorter",
  ],
  "a lifetime in an update counts from the creation": [
    "a lifetime in an update restarts endsAt from now, longer or shorter",
  ],
  "a lifetime in an update never shortens": [
    "a session dies at the end of the lifetime that an update gave (ASVS 7.3.2)",
  ],
  "a lifetime in an update is a use": [
    "a lifetime with touch false restarts endsAt and not the idle timeout",
  ],
  "a conflict restarts the lifetime": ["an update with a lifetime that is refused moves nothing"],
  "durations have 32 bits": ["long durations, from 25 days to a hundred years, are stored exactly"],
  "a second revoke takes the tombstone away": [
    "a tombstone still exists seconds later, whatever was revoked and however often",
  ],
  "revokeUser's tombstones last until the session's end and no longer": [
    "a tombstone outlives the session's own end, whatever ended the session (ASVS 7.4.1)",
  ],
  "revokeUser spares a session that is written meanwhile": [
    "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
  ],
  "except also spares what is newer": ["`except` spares neither older nor newer sessions (ASVS 7.4.3)"],
  "an index entry ends with the first idle timeout": [
    "a session that outlives the idle timeout it began with is listed and ended (ASVS 7.4.2)",
  ],
  "binding the same user again loses the index entry": [
    "a session bound to its own user again, or to another and back, is listed once",
  ],
  "the version has eight bits": ["versions beyond 256 are exact, and still conflict"],
  "reads share a batch, and a double shifts the results": [
    "concurrent calls each get their own result, even if an id is read twice",
  ],
  "lists share a batch, and come in the order of the users": [
    "concurrent calls each get their own result, even if an id is read twice",
  ],
  "touches share a batch, and one that is gone makes all gone": [
    "concurrent writes each change their own session",
  ],
  "each process keeps what it read for 20 ms": [
    "a session once seen revoked stays dead, even if writes race with its revoke (ASVS 7.4.1)",
  ],
  "a reply is not checked": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
    "a listUser that gets another session's value is a StoreError, or shows the user's own sessions alone",
  ],
  "a reply that is not a session is an absence": [
    "a read that gets something that is not a session is a StoreError",
    "a listUser that gets something that is not a session is a StoreError",
  ],
  "another session's value is shown as the one that was asked for": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
  ],
  "an error shows the value": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
  ],
  "the backend's absence is taken for the session's": [
    "a backend that refuses connections makes every call reject with a StoreError",
    "a backend that accepts and never replies makes every call reject with a StoreError",
  ],
  "a failing read is taken for an absence": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "the driver's error comes through": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a StoreError has the driver's code": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a StoreError names another operation": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a call never settles": [
    "a backend that accepts and never replies makes every call reject with a StoreError",
  ],
  "a call waits for those before it, though they wait in vain": [
    "calls on a backend that never replies do not wait for each other",
  ],
};
