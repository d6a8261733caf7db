import type { Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import session from "express-session";

/**
 * The bridge with its knowledge of who is who taken away: each call goes to a bridge that never saw the session before, as a
 * copy. What then holds, holds by tombstones alone.
 */
export function blindBridge(sessions: Sessions): session.Store {
  return new BlindStore(sessions);
}

class BlindStore extends session.Store {
  readonly #fresh: () => session.Store;

  constructor(sessions: Sessions) {
    super();
    this.#fresh = () => expressSessionStore(sessions);
  }

  override get(sid: string, callback: (error: unknown, data?: session.SessionData | null) => void): void {
    this.#fresh().get(sid, callback);
  }
  override set(sid: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
    this.#fresh().set(sid, copyOf(data), callback);
  }
  override touch(sid: string, data: session.SessionData, callback?: () => void): void {
    this.#fresh().touch?.(sid, copyOf(data), callback);
  }
  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    this.#fresh().destroy(sid, callback);
  }
}

function copyOf(data: session.SessionData): session.SessionData {
  return JSON.parse(JSON.stringify(data)) as session.SessionData;
}
