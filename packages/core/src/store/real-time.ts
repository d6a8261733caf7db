// Captured when the package loads: under a test's fake timers, a server's clock still runs.

/** The real `setTimeout`, even under fake timers. */
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
/** The real `setImmediate`, even under fake timers. */
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
/** The real `performance.now()`, milliseconds, even under fake timers. */
export const monotonic: () => number = performance.now.bind(performance);
