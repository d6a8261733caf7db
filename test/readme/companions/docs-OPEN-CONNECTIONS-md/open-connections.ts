import type { Session, Sessions } from "@tenure/core";

/** Closes connections whose session has ended, in whatever process. */
export function closeWithSession<Data extends object>(sessions: Sessions<Data>, everyMs = 5000) {
  const connections = new Map<() => void, Session<Data>>();
  let failures = 0;

  // A connection may have closed before it was added. Then nothing else would remove it.
  const end = (close: () => void): void => {
    connections.delete(close);
    close();
  };
  const check = async (): Promise<void> => {
    const checked = [...connections];
    try {
      const alive = await sessions.areLive(checked.map(([, session]) => session));
      failures = 0;
      for (const [at, [close]] of checked.entries()) if (!alive[at]) end(close);
    } catch {
      // A store that fails twice in a row leaves it unknown who is logged in.
      failures += 1;
      if (failures >= 2) for (const [close] of checked) end(close);
    }
  };
  const timer = setInterval(() => void check(), everyMs);

  return {
    /** Give it the session of the request that opened the connection. Returns what to call when the connection has closed. */
    add(session: Session<Data>, close: () => void): () => void {
      connections.set(close, session);
      return () => connections.delete(close);
    },
    stop: () => clearInterval(timer),
  };
}
