/** For each fault in `sabotaged-stores.ts`, the sentences that must fail. Others may fail too. */
export const expectedFailures: Readonly<Record<string, readonly string[]>> = {
  "a call never settles": [
    "a backend that accepts and never replies makes every call reject with a StoreError",
  ],
  "update creates a session that does not exist": [
    "an update creates nothing",
    "every result of any sequence of calls and waits is one that the contract allows",
  ],
  "update creates a session over its tombstone": ["no update brings a revoked session back (ASVS 7.4.1)"],
  "revoke leaves no tombstone": ["a revoked id is not created again (ASVS 7.4.1)"],
  "revoke leaves no tombstone for an unknown id": ["an unknown id that was revoked is not created"],
  "revoke leaves no tombstone for an expired session": [
    "an expired session that was revoked is not created again",
  ],
  "a tombstone lasts only until the session's endsAt": [
    "a tombstone outlives the session's own end, whatever ended the session (ASVS 7.4.1)",
  ],
  "a tombstone lasts only two seconds": [
    "tombstones and fences still exist seconds later, whatever was revoked and however often (ASVS 7.4.1)",
  ],
  "revoke always returns false": ["revoke ends a live session and returns true (ASVS 7.4.1)"],
  "revoke always returns true": [
    "for an id that was never created, read is null, update is gone and revoke is false",
    "revoke of a session that is not alive returns false",
  ],
  "revoke returns true for an expired session": ["revoke of a session that is not alive returns false"],
  "concurrent revokes of one session all return true": [
    "of concurrent revokes of one session, one returns true",
  ],
  "create checks for a tombstone, and writes in a later step": [
    "an id that is created and revoked concurrently ends up dead",
  ],
  "an update that began before a revoke writes the session back after it": [
    "writes that race with a revoke bring nothing back (ASVS 7.4.1)",
    "concurrent calls of one session have an order that explains every result",
  ],
  "a touch moves endsAt": ["no update without a lifetime moves endsAt (ASVS 7.3.2)"],
  "expiresAt can be later than endsAt": [
    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)",
    "a session in constant use dies at its endsAt (ASVS 7.3.2)",
  ],
  "an update with a new idle timeout can set expiresAt later than endsAt": [
    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)",
  ],
  "a session expires only when a sweep deletes it": [
    "read returns null for an expired session, in every process",
  ],
  "a session expires 20 ms too early": [
    "read and listUser return a session until its expiresAt, and not from then on (ASVS 7.3.1)",
  ],
  "a session expires 20 ms too late": [
    "a touch succeeds until expiresAt, and returns gone from then on (ASVS 7.3.1)",
  ],
  "read checks the expiry and update does not": [
    "no update revives an expired session (ASVS 7.3.1)",
    "uses that race with the end do not move it (ASVS 7.3.2)",
  ],
  "a read restarts the idle timeout": [
    "reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)",
  ],
  "an idle timeout below one second counts as one second": [
    "the shortest duration is a millisecond, and expires on the millisecond",
  ],
  "a write of data changes createdAt": ["a session that is written many times keeps its createdAt"],
  "a touch does not restart the idle timeout": [
    "a touch counts at an instant of its call and moves touchedAt and expiresAt alone",
    "a session in use outlives the expiresAt that it had (ASVS 7.3.1)",
  ],
  "update ignores a new idle timeout": [
    "a new idle timeout, longer or shorter, applies immediately and from then on",
    "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)",
    "a session whose idle timeout was lengthened lives by the new one",
  ],
  "an update without idle resets the idle timeout to a default": [
    "an update without idle restarts the stored idle timeout",
  ],
  "create does not validate durations": [
    "an invalid duration is refused before anything is written (ASVS 7.3.1, 7.3.2)",
  ],
  "revokeUser leaves no tombstones": ["a session that revokeUser ended is not created again (ASVS 7.4.2)"],
  "revokeUser works from a snapshot of the index and does not check each session's user again": [
    "a session that changes its user during revokeUser is ended as the first user's or lives as the second's",
  ],
  "revokeUser deletes the user's whole index at its end": [
    "a session created or bound during revokeUser is dead, or readable and listed (ASVS 7.4.2)",
  ],
  "revokeUser counts sessions that another call ended": [
    "each session is counted by the one call that ended it",
  ],
  "revokeUser counts every entry of the index, expired or not": [
    "revokeUser counts neither expired nor revoked sessions",
  ],
  "revokeUser returns at least 1": ["revokeUser of a user without sessions returns 0"],
  "revokeUser spares the latest session": [
    "revokeUser ends every session of the user and returns their number (ASVS 7.4.2)",
  ],
  "revokeUser spares the session in `except` of a concurrent call": [
    "two sessions that each end all others leave at most one (ASVS 7.4.3)",
  ],
  "revokeUser also ends the session whose id equals the user id": [
    "an id is never taken for a user, nor a user for an id",
  ],
  "revokeUser ignores `except`": ["revokeUser leaves the session in `except` alone (ASVS 7.4.3)"],
  "revokeUser ends nothing if `except` is not a session of the user": [
    "an `except` that is not a session of the user keeps none alive (ASVS 7.4.3)",
  ],
  "revokeUser removes the session in `except` from the index": [
    "revokeUser without `except` ends the session that was excepted before",
  ],
  "revokeUser also ends the sessions of users whose ids begin with the given user id": [
    "revokeUser leaves other users and anonymous sessions alone (ASVS 7.4.5)",
  ],
  "revokeUser ends only the first 1,000 sessions": [
    "all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)",
  ],
  "revokeUser ends only the first 10,000 sessions": [
    "all 12,000 sessions of a user are listed and ended (ASVS 7.4.2)",
  ],
  "listUser returns only the first 1,000 sessions": [
    "all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)",
  ],
  "users whose ids have the same 12-bit hash share one list": [
    "each of a thousand users has a separate list",
  ],
  "a revoked session stays in the list of a user with many sessions": [
    "one of a user's many sessions is written, read and ended like any other",
  ],
  "listUser returns records without data": [
    "listUser returns the user's live sessions, as read returns them (ASVS 7.5.2)",
  ],
  "listUser rejects for a user without sessions": ["listUser of a user without sessions is empty"],
  "listUser returns expired sessions": [
    "an expired session is in no result, even if nothing has read it since",
    "listUser leaves out expired sessions",
  ],
  "listUser returns revoked sessions": ["listUser leaves out revoked sessions"],
  "listUser returns the newest session first": ["listUser returns the oldest createdAt first"],
  "listUser orders sessions by touchedAt": [
    "no update changes the order of listUser, nor does a late binding",
  ],
  "an update that changes the user leaves the index entry of the old user": [
    "a session bound to another user leaves the first user's list",
    "revokeUser leaves sessions alone that an update has taken from the user",
  ],
  "an update that changes the user adds no index entry for the new user": [
    "revokeUser ends sessions that an update has bound to the user (ASVS 7.4.2)",
    "a session bound by an update is in the user's list immediately",
  ],
  "an update that changes the user removes the index entry of the old user late": [
    "after concurrent changes of its user, a session is in the list of its user and in no other",
  ],
  "an update that unbinds ignores its other changes": [
    "an update changes the fields that it names and no others",
  ],
  "an update that binds and restarts the lifetime ignores touch: false": [
    "an update changes the fields that it names and no others",
  ],
  "an update whose userId is undefined unbinds the session": [
    "an optional field that is undefined is absent",
  ],
  "update takes any touch for a boolean": [
    "a touch that is not a boolean is refused before anything is written",
  ],
  "update treats userId null as absent": [
    "a session that loses its user leaves the list and lives on",
    "an update changes the fields that it names and no others",
  ],
  "an update that conflicts still adds an index entry": ["an update that was refused binds nothing"],
  "a create of a taken id still adds an index entry": ["a create that was refused binds nothing"],
  "create overwrites a live session": [
    "create of an id that is alive is refused as taken and changes nothing",
  ],
  "create of an expired id continues its version": [
    "create of an id that expired is refused, or begins a new session",
  ],
  "create checks for a live session, and writes in a later step": [
    "of concurrent creates of one id, exactly one succeeds and is stored",
  ],
  "update compares the version, and writes in a later step": [
    "counting with versions loses no count",
    "of concurrent updates with one version, exactly one succeeds and the others conflict",
  ],
  "a touch writes back the whole record that it read": [
    "concurrent updates of different fields are all kept",
  ],
  "update computes the new version from an earlier read": [
    "concurrent updates without a version all succeed, one after the other",
  ],
  "an update is written in two steps": ["an update is read whole or not at all"],
  "an update that conflicts restarts the idle timeout": [
    "an update with another version is a conflict and changes nothing",
  ],
  "update returns conflict for a session that is gone": ["gone wins over conflict"],
  "update returns gone for a conflict": ["an update with another version is a conflict and changes nothing"],
  "update ignores ifVersion": ["an update with another version is a conflict and changes nothing"],
  "update ignores an ifVersion of 0": ["a version that no session can have is never the stored one"],
  "the version grows with a touch": ["the version never grows with a touch or a new idle timeout"],
  "the version grows by 2 with data and userId": [
    "the version is 1 at first and grows by 1 with data, userId, lifetime or authenticatedAt, changed or not",
  ],
  "the version does not grow with unchanged values": [
    "the version is 1 at first and grows by 1 with data, userId, lifetime or authenticatedAt, changed or not",
  ],
  "the version begins at 0": ["an update with the stored version succeeds"],
  "update ignores empty data": ["an update with any data is stored exactly, or refused and changes nothing"],
  "a write of data is acknowledged before it is made": ["all acknowledged writes are kept, in their order"],
  "a touch is acknowledged half a second before it is made": [
    "an acknowledged touch counts immediately, in every process",
  ],
  "each process has a separate backend": [
    "the two stores that `open` returns share one backend",
    "every process reads the same record",
  ],
  "each process caches what it reads for five seconds": [
    "a revoked session is immediately dead to every process (ASVS 7.4.1, 7.5.2)",
    "a write acknowledged to one process is visible to every other immediately",
    "a session once seen revoked stays dead, even if writes race with its revoke (ASVS 7.4.1)",
  ],
  "lone surrogates in ids and users are replaced": ["ids that look alike are different sessions"],
  "ids and users are truncated at NUL": ["ids that look alike are different sessions"],
  "NUL is removed from ids": [
    "an id of any characters is stored exactly, or refused before anything is written",
  ],
  "NUL is removed from users": [
    "an update that binds to any user is stored exactly, or refused and changes nothing",
    "a user of any characters is stored exactly, or refused before anything is written (ASVS 7.4.2)",
  ],
  "ids and users are truncated to 255 characters": [
    "an id or a user of a megabyte is stored exactly, or refused before anything is written",
  ],
  "ids and users are trimmed": ["ids that look alike are different sessions"],
  "ids are compared case-insensitively": ["ids that look alike are different sessions"],
  "users are compared case-insensitively": ["users that look alike are different users (ASVS 7.4.2)"],
  "ids that are equal as numbers are one id": ["ids that look alike are different sessions"],
  "users that are equal as numbers are one user": ["users that look alike are different users (ASVS 7.4.2)"],
  "ids are normalized to NFKC": ["ids that look alike are different sessions"],
  "users are normalized to NFC": ["users that look alike are different users (ASVS 7.4.2)"],
  "data is trimmed": ["data of any characters is stored exactly, or refused before anything is written"],
  "data is truncated to 65,535 characters": [
    "data of some megabytes is stored exactly, or refused before anything is written",
  ],
  "data that looks like an expression of a query language is evaluated": [
    "data of any characters is stored exactly, or refused before anything is written",
    "text that a query language would evaluate is stored as text",
  ],
  "data is used as a replacement pattern": [
    "data of any characters is stored exactly, or refused before anything is written",
  ],
  "an anonymous session is stored with the empty user": ["a session without a user has the user null"],
  "the empty user has no fence": ["the empty user is a user like any other, or is refused"],
  "a session of the empty user is stored as anonymous": [
    "the empty user is a user like any other, or is refused",
  ],
  "anonymous sessions belong to a user called null": [
    "an anonymous session belongs to no user, whatever that user is called",
  ],
  "the index of users is an object that inherits from Object.prototype": [
    "names that every JavaScript object has are ids and users like any others",
  ],
  "an index entry is named by the user and the id joined with a colon": [
    "an id and a user that would be the same when joined stay apart",
  ],
  "create converts values to strings": [
    "a value that is not a string is refused before anything is written, or stored unchanged",
  ],
  "read accepts an object as a query": ["a value that is not a string finds no session"],
  "scan misses anonymous sessions": [
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  ],
  "scan yields each session twice": ["a scan can be abandoned, and another started"],
  "scan yields dead sessions": [
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  ],
  "scan misses sessions that are written during the scan": [
    "scan returns every session that is alive throughout, whatever is written meanwhile",
  ],
  "now() returns the clock of an application server that is ten minutes slow": [
    "now() is the clock of the instants in records",
    "a session is read as it was created",
  ],
  "now() returns seconds": ["now() is whole epoch milliseconds and advances as time does"],
  "read returns a record with a field of the backend": [
    "a record has the fields of the contract and no others",
  ],
  "update rejects for a dead session": [
    "for an id that was never created, read is null, update is gone and revoke is false",
  ],
  "revokeUser sets no fence": ["a login that began before revokeUser is refused after it (ASVS 7.4.2)"],
  "a login checks the fence, and writes in a later step": [
    "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)",
  ],
  "revokeUser ends the sessions, and sets the fence in a later step": [
    "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)",
  ],
  "revokeUser resolves before the clock has passed the fence": [
    "a login that begins after revokeUser is accepted: the clock is past the fence",
  ],
  "a login without authenticatedAt is refused for a second after revokeUser": [
    "a create or a binding without authenticatedAt counts as made after every fence so far",
    "a session created after revokeUser lives: the user can log in again",
  ],
  "revokeUser ends sessions authenticated up to the present, even if the last fence is later": [
    "a session created or bound during a revokeUser is within reach of the next one",
  ],
  "a login at the instant of the fence is accepted": [
    "a fence refuses a login at its instant and accepts one a millisecond later",
  ],
  "revokeUser ignores authenticatedUpTo": [
    "authenticatedUpTo ends only sessions that were authenticated at or before it",
  ],
  "revokeUser spares sessions authenticated exactly at authenticatedUpTo": [
    "authenticatedUpTo ends only sessions that were authenticated at or before it",
  ],
  "an authenticatedUpTo in the future counts as now": [
    "an authenticatedUpTo in the future is a TypeError and ends nothing",
  ],
  "an authenticatedUpTo in the future is refused only after the fence is written": [
    "an authenticatedUpTo in the future is a TypeError and ends nothing",
  ],
  "create treats an invalid authenticatedAt as absent": [
    "an instant that is not epoch milliseconds is a TypeError, before anything is written",
  ],
  "a later revokeUser can lower the fence": ["a later revokeUser never lowers the fence"],
  "revokeUser reads the fence, and writes it in a later step": [
    "of concurrent calls of revokeUser the latest fence remains",
  ],
  "a login of any age is accepted": [
    "a login older than the tombstone minimum is refused, whether or not there is a fence",
  ],
  "an update for the session's own user accepts an authenticatedAt of any age": [
    "a login older than the tombstone minimum is refused, whether or not there is a fence",
  ],
  "a login older than a minute is refused": [
    "a login within the tombstone minimum is accepted if there is no fence",
  ],
  "a fence also applies to users whose ids begin with its user id": [
    "a fence concerns one user alone (ASVS 7.4.5)",
  ],
  "a fence applies to every user": ["a fence concerns one user alone (ASVS 7.4.5)"],
  "a fenced update leaves the session alive": [
    "an update that was refused has ended the session, as revoke would",
  ],
  "a fenced update leaves no tombstone": [
    "an update that was refused has ended the session, as revoke would",
  ],
  "a fenced create is stored": ["a create that was refused leaves nothing readable"],
  "create returns fenced for a taken id": ["taken wins over fenced, and conflict and gone do too"],
  "update returns fenced for a conflict": ["taken wins over fenced, and conflict and gone do too"],
  "an update that repeats the session's user is a binding": [
    "the session in `except` survives revokeUser, and setting the same user again is not a binding",
  ],
  "an update that repeats the session's user renews authenticatedAt": [
    "the session in `except` survives revokeUser, and setting the same user again is not a binding",
  ],
  "a session that was once in `except` is never fenced": [
    "the session in `except` is fenced like any other once it has left its user",
  ],
  "revokeUser ends the session in `except` if it is written during the call": [
    "the session in `except` lives through revokeUser, whatever is written meanwhile",
  ],
  "authenticatedAt stays when the session loses its user": [
    "authenticatedAt is null exactly while a session has no user",
  ],
  "an anonymous session stores the authenticatedAt of an update": [
    "authenticatedAt is null exactly while a session has no user",
  ],
  "an authenticatedAt in the future is stored": [
    "authenticatedAt is stored exactly, and counts as now if it is absent or in the future",
  ],
  "authenticatedAt is rounded down to seconds": [
    "authenticatedAt is stored exactly, and counts as now if it is absent or in the future",
  ],
  "an update can decrease authenticatedAt": ["authenticatedAt never decreases while the session has a user"],
  "an update that changes the user can decrease authenticatedAt": [
    "authenticatedAt never decreases while the session has a user",
  ],
  "update ignores touch: false": ["an update with touch false is not a use: it restarts nothing"],
  "update treats touch: true as false": ["an update with touch false is not a use: it restarts nothing"],
  "a new idle timeout with touch: false counts from now": [
    "a new idle timeout with touch false counts from the last use",
  ],
  "update ignores lifetime": ["a lifetime in an update restarts endsAt from now, longer or shorter"],
  "the lifetime in an update counts from the creation of the session": [
    "a lifetime in an update restarts endsAt from now, longer or shorter",
  ],
  "the lifetime in an update never shortens the session's life": [
    "a session dies at the end of the lifetime that an update gave (ASVS 7.3.2)",
  ],
  "an update with lifetime ignores touch: false": [
    "a lifetime with touch false restarts endsAt and not the idle timeout",
  ],
  "an update that conflicts restarts the lifetime": [
    "an update with a lifetime that is refused moves nothing",
  ],
  "idle timeouts wrap around at 31 bits": [
    "long durations, from 25 days to a hundred years, are stored exactly",
  ],
  "a second revoke deletes the tombstone": [
    "tombstones and fences still exist seconds later, whatever was revoked and however often (ASVS 7.4.1)",
  ],
  "a tombstone of revokeUser lasts only until the session's endsAt": [
    "a tombstone outlives the session's own end, whatever ended the session (ASVS 7.4.1)",
  ],
  "revokeUser spares a session that is written during the call": [
    "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)",
  ],
  "revokeUser also spares sessions newer than the one in `except`": [
    "`except` spares neither older nor newer sessions (ASVS 7.4.3)",
  ],
  "an index entry expires with the session's first idle timeout": [
    "a session that outlives the idle timeout it began with is listed and ended (ASVS 7.4.2)",
  ],
  "binding a session to its own user again removes the index entry": [
    "a session bound to its own user again, or to another and back, is listed once",
  ],
  "the version wraps around at 256": ["versions beyond 256 are exact, and still conflict"],
  "reads share a batch in which a repeated id shifts the results": [
    "concurrent calls each get their own result, even if an id is read twice",
  ],
  "calls of listUser share a batch whose results are in the order of the user ids": [
    "concurrent calls each get their own result, even if an id is read twice",
  ],
  "touches share a batch in which one gone session makes all results gone": [
    "concurrent writes each change their own session",
  ],
  "each process caches what it reads for 20 ms": [
    "a revoked session is immediately dead to every process (ASVS 7.4.1, 7.5.2)",
  ],
  "a reply is not checked against the requested id": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
    "a listUser that gets another session's value is a StoreError, or shows the user's own sessions alone",
  ],
  "a reply that is not the requested session is treated as absent": [
    "a read that gets something that is not a session is a StoreError",
    "a listUser that gets something that is not a session is a StoreError",
  ],
  "another session's value is returned under the requested id": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
  ],
  "an error's cause is the value of another session": [
    "a read that gets another session's value is a StoreError, and shows nobody's data",
  ],
  "calls on an unreachable backend return absent results": [
    "a backend that refuses connections makes every call reject with a StoreError",
    "a backend that accepts and never replies makes every call reject with a StoreError",
  ],
  "a read that fails returns null": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "calls reject with the driver's error": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a StoreError has the driver's code": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a StoreError names the wrong operation": [
    "a backend that refuses connections makes every call reject with a StoreError",
  ],
  "a call on an unreachable backend waits for the calls before it": [
    "calls on a backend that never replies do not wait for each other",
  ],
  "a session expires one millisecond too late": [
    "the shortest duration is a millisecond, and expires on the millisecond",
  ],
  "listUser leaves out sessions 100 ms before they expire": [
    "read and listUser return a session until its expiresAt, and not from then on (ASVS 7.3.1)",
  ],
  "create keeps the object that it was given": [
    "a record never changes after it was returned, and no change to an argument or a record is stored",
  ],
  "read returns the stored object itself": [
    "a record never changes after it was returned, and no change to an argument or a record is stored",
  ],
  "scan yields the stored objects themselves": [
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)",
  ],
  "an update with touch: false leaves expiresAt unchanged": [
    "a lifetime with touch false restarts endsAt and not the idle timeout",
  ],
  "touch: false is ignored if ifVersion is given": [
    "an update with touch false is not a use: it restarts nothing",
  ],
  "a session never expires after an update that gives it a user": [
    "a session expires whatever was written last (ASVS 7.3.1)",
  ],
  "a session dies at its first endsAt, whatever lifetime an update gives": [
    "a session whose lifetime was restarted outlives the endsAt that it had, and is listed and ended (ASVS 7.4.2)",
  ],
  "the durations in an update wrap around at 31 bits": [
    "long durations, from 25 days to a hundred years, are stored exactly",
  ],
  "a fence lasts only two seconds": [
    "tombstones and fences still exist seconds later, whatever was revoked and however often (ASVS 7.4.1)",
  ],
  "the tombstone of a fenced update lasts only two seconds": [
    "tombstones and fences still exist seconds later, whatever was revoked and however often (ASVS 7.4.1)",
  ],
  "revokeUser leaves tombstones for the first 1,000 sessions only": [
    "all 12,000 sessions of a user are listed and ended (ASVS 7.4.2)",
  ],
  "an authenticatedUpTo of 0 counts as absent": [
    "authenticatedUpTo ends only sessions that were authenticated at or before it",
  ],
  "an authenticatedAt of 0 counts as absent": [
    "a login older than the tombstone minimum is refused, whether or not there is a fence",
  ],
  "`except` also spares sessions whose ids begin with it": [
    "an `except` that is not a session of the user keeps none alive (ASVS 7.4.3)",
  ],
  "`except` is compared case-insensitively": [
    "an `except` that is not a session of the user keeps none alive (ASVS 7.4.3)",
  ],
  "an ifVersion of null counts as absent": ["a version that no session can have is never the stored one"],
  "update accepts an object as a query": ["a value that is not a string finds no session"],
  "revokeUser of null ends anonymous sessions": ["revokeUser without a user ends no anonymous session"],
  "an update to the empty user makes the session anonymous": [
    "the empty user is a user like any other, or is refused",
  ],
  "durations that are strings are stored": [
    "an invalid duration is refused before anything is written (ASVS 7.3.1, 7.3.2)",
  ],
  "a byte order mark at the beginning of data is lost": [
    "data of any characters is stored exactly, or refused before anything is written",
  ],
  "data that looks like a date is stored as one": [
    "data of any characters is stored exactly, or refused before anything is written",
  ],
  "create of an expired id keeps the old data if the new data is empty": [
    "create of an id that expired is refused, or begins a new session",
  ],
  "a fence is lost if the user id is not plain ASCII": [
    "a user of any characters is stored exactly, or refused before anything is written (ASVS 7.4.2)",
  ],
  "a fence applies to users whose ids are equal but for case": [
    "users that look alike are different users (ASVS 7.4.2)",
  ],
  "a fence applies to users whose ids have the same first 255 characters": [
    "an id or a user of a megabyte is stored exactly, or refused before anything is written",
  ],
  "listUser reads pages by offset": [
    "listUser and revokeUser miss no session while others of the user end (ASVS 7.4.2)",
  ],
  "scan reads pages by offset": ["a scan misses no session while its consumer ends others (ASVS 7.4.5)"],
  "scan yields only the first 1,000 sessions": [
    "a scan misses no session while its consumer ends others (ASVS 7.4.5)",
  ],
  "listUser ends at a page without live sessions": [
    "a user's sessions are found behind hundreds of expired ones (ASVS 7.4.2)",
  ],
  "scan ends at a page without live sessions": [
    "a user's sessions are found behind hundreds of expired ones (ASVS 7.4.2)",
  ],
  "concurrent calls of revokeUser share a batch whose results are in the order of the user ids": [
    "concurrent creates and revokeUsers each get their own result",
  ],
  "one invalid call makes the calls of the same turn reject": [
    "a call that is refused for its input does not affect the calls made with it, or after it",
  ],
  "revokeUser spares a session in the last quarter of its idle timeout": [
    "a session that is about to expire is ended like any other (ASVS 7.4.1)",
  ],
  "create of an expired id keeps the old authenticatedAt": [
    "create of an id that expired is refused, or begins a new session",
  ],
  "a touch between the read and the write of an update is taken for a conflict": [
    "a concurrent touch causes no conflict",
  ],
};
