/**
 * What a store itself found wrong, deep in its own code: a reply to another call, a document that is not a session, a database that it
 * cannot work on. The message states the fact and the remedy in one line and holds no session data, so that the call can reject with a
 * `StoreError` of the same message.
 */
export class Fault extends Error {}
