// As they were when the package was loaded: fake timers of a test stand still, and a server's clock goes on.

/** The real `setTimeout`, also under a test's fake timers. */
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
/** The real `clearTimeout`, also under a test's fake timers. */
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
/** The real `setImmediate`, also under a test's fake timers. */
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
/** The real `performance.now()`, milliseconds, also under a test's fake timers. */
export const monotonic: () => number = performance.now.bind(performance);
