import type { Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import session from "express-session";

/**
 * A bridge that does not know which session a request has loaded: each call goes to a new bridge, with a copy
 * of the data. Only tombstones can then keep a session from coming back.
 */
export function statelessBridge(sessions: Sessions): session.Store {
  return new StatelessStore(sessions);
}

class StatelessStore extends session.Store {
  readonly #newBridge: () => session.Store;

  constructor(sessions: Sessions) {
    super();
    this.#newBridge = () => expressSessionStore(sessions);
  }

  override get(sid: string, callback: (error: unknown, data?: session.SessionData | null) => void): void {
    this.#newBridge().get(sid, callback);
  }
  override set(sid: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
    this.#newBridge().set(sid, copyOf(data), callback);
  }
  override touch(sid: string, data: session.SessionData, callback?: () => void): void {
    this.#newBridge().touch?.(sid, copyOf(data), callback);
  }
  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    this.#newBridge().destroy(sid, callback);
  }
}

function copyOf(data: session.SessionData): session.SessionData {
  return JSON.parse(JSON.stringify(data)) as session.SessionData;
}
