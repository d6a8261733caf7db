/**
 * Timers and the monotonic clock of this process, as they were when the package was loaded. Fake timers of a test stand still, and a server's
 * clock goes on.
 */
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
/** Milliseconds. */
export const monotonic: () => number = performance.now.bind(performance);
