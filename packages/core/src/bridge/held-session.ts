import type { Codec } from "../codec.ts";
import { publish } from "../events.ts";
import { changesBetween, isEmpty } from "../merge.ts";
import { recordOf, type Session } from "../session.ts";
import type { Sessions, SessionSettings } from "../sessions.ts";
import type { UserId } from "../user.ts";
import { idleFor, isExpired, isSameMaxAge, type MaxAge } from "./max-age.ts";

/**
 * What one request holds of a session, between its framework's loads, saves and touches.
 *
 * It keeps apart what this request saw and what is stored now: after a save that was merged with another request's, a second
 * save deletes nobody's key. A write takes what it is given at once, waits for the one before it, and never creates a
 * session that was alive before: once the session died, everything answers `false` and does nothing.
 */
export interface HeldSession<Data extends object> {
  /** The token that it was loaded, or is to be created, under. */
  readonly token: string;
  /** What the framework was told of the cookie's `maxAge` when it was loaded or last saved. */
  readonly maxAge: MaxAge;
  /** Whose it was when it was last seen. `null`: nobody's, or it is new. `undefined`: it was never looked at. */
  readonly userId: string | null | undefined;
  /**
   * Stores what this request changed since it last loaded or saved; what others changed stays. Where it changed nothing
   * this is a {@link touch}: no data is written, and nothing is read.
   *
   * @param maxAge the cookie's, as it is now; 0 or less ends the session
   * @returns `false`: the session is dead, and nothing was written
   * @throws StoreError when the backend fails; the same save may be tried again
   * @throws TypeError for data or a user id that can't be stored, before anything is written
   */
  save(data: Data, maxAge: MaxAge): Promise<boolean>;
  /**
   * Restarts the idle timeout, at most once a `touchEvery`, unless the `maxAge` changed. A backend that fails here is the event
   * `touch-failed` and no error, but for a `maxAge` of 0 or less: that is a logout.
   *
   * @param changed data to save as well, for a framework that keeps its cookie's settings in it and tells of them by a touch
   * @returns `false`: the session is dead. `"failed"`: what changed is not stored, and may be told again
   */
  touch(maxAge: MaxAge, changed?: Data): Promise<boolean | "failed">;
  /**
   * Gives the session a new token, once the writes under way are done. This one is dead from then on; what the request saw
   * goes on in the one that is answered. `null`: the session is dead, or another rotation of it won. `"new"`: it is not
   * stored yet, so nobody can know its token, and it goes on under the one it has.
   */
  rotate(settings?: SessionSettings): Promise<RotatedSession<Data> | "new" | null>;
}

export interface RotatedSession<Data extends object> {
  readonly held: HeldSession<Data>;
  /** As it is stored now. */
  readonly session: Session<Data>;
}

/** How a session is found when it is first written to. */
export interface Opening<Data extends object> {
  /** Absent: it is not known whether it lives. */
  readonly session?: Session<Data>;
  /** What this request saw. Absent: what is `shown` of `session`, or nothing yet, the session being new or to be replaced. */
  readonly seen?: string;
  readonly maxAge: MaxAge;
  /** Whether the first write creates it, unless it is known by then. If that finds it alive, it is replaced. */
  readonly mayCreate: boolean;
}

/** What all sessions of a bridge are held with. */
export interface Holding<Data extends object> {
  readonly sessions: Sessions<Data>;
  /** Absent: `Sessions` tells it itself. */
  readonly userOf: ((data: Data) => UserId | null | undefined) | undefined;
  readonly mayLengthen: boolean;
  /** What a framework shows of a stored session's data. */
  readonly shown: (session: Session<Data>) => Data;
  /** Whether this process loaded, made or ended a session with this token. */
  readonly isKnown: (token: string) => boolean;
  /** It is known from now on. */
  readonly remember: (token: string) => void;
  /** It is known from now on, and dead. A token under which nothing was ever stored leaves no tombstone. */
  readonly revoke: (token: string) => Promise<boolean>;
  /** Tells of a touch that failed, which is no error. */
  readonly touchFailed: (token: string, userId: string | null, error: unknown) => void;
}

export function holdSession<Data extends object>(
  holding: Holding<Data>,
  token: string,
  opening: Opening<Data>,
): HeldSession<Data> {
  return new Held(holding, token, opening);
}

/** A class, because each request has one and uses one or two of its methods. */
class Held<Data extends object> implements HeldSession<Data> {
  readonly token: string;
  maxAge: MaxAge;
  readonly #holding: Holding<Data>;
  readonly #codec: Codec;
  readonly #mayCreate: boolean;
  #session: Session<Data> | undefined;
  #seen: string | undefined;
  #isDead = false;
  /** A creation whose answer was lost is tried again, though the token is known by then. */
  #triedToCreate = false;
  #lastWrite: Promise<unknown> | undefined;
  #writing = 0;

  constructor(holding: Holding<Data>, token: string, { session, seen, maxAge, mayCreate }: Opening<Data>) {
    this.token = token;
    this.maxAge = maxAge;
    this.#holding = holding;
    this.#codec = holding.sessions.policy.codec;
    this.#mayCreate = mayCreate;
    this.#session = session;
    this.#seen = seen;
  }

  get userId(): string | null | undefined {
    return this.#isNew() ? null : this.#session?.userId;
  }

  async save(data: Data, newMaxAge: MaxAge): Promise<boolean> {
    const wanted = this.#codec.encode(data);
    return this.#inOrder(async () => (await this.#store(wanted, newMaxAge)) !== false);
  }

  async touch(newMaxAge: MaxAge, changed?: Data): Promise<boolean | "failed"> {
    if (changed === undefined && this.#isRested(newMaxAge)) return true;
    const wanted = changed === undefined ? undefined : this.#codec.encode(changed);
    return this.#inOrder(() => this.#touchAtMost(newMaxAge, wanted));
  }

  async rotate(settings: SessionSettings = {}): Promise<RotatedSession<Data> | "new" | null> {
    return this.#inOrder(async () => {
      if (this.#isDead) return null;
      if (this.#isNew()) return "new";
      if (this.#session) this.#seen ??= this.#seenOf(this.#session);
      const rotated = await this.#holding.sessions.rotate(this.token, settings);
      this.#isDead = true;
      if (!rotated) return null;
      this.#holding.remember(rotated.token);
      const { session } = rotated;
      const going = { session, maxAge: this.maxAge, mayCreate: false };
      const opening = this.#seen === undefined ? going : { ...going, seen: this.#seen };
      return { held: holdSession(this.#holding, rotated.token, opening), session };
    });
  }

  /** Frameworks save one session object several times without waiting: the last one is to win. */
  #inOrder<Answer>(write: () => Promise<Answer>): Promise<Answer> {
    this.#writing += 1;
    const written = (this.#lastWrite ?? Promise.resolve()).then(write).finally(() => (this.#writing -= 1));
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }

  async #store(wanted: string, newMaxAge: MaxAge): Promise<boolean | "failed"> {
    if (this.#isDead) return this.#drop(wanted);
    if (isExpired(newMaxAge)) return this.#end();
    if (this.#isNew() && (await this.#create(wanted, newMaxAge))) return true;
    const current = await this.#open();
    if (!current) return this.#drop(wanted);
    this.#seen ??= this.#seenOf(current);
    if (this.#changesNothing(wanted, this.#seen)) return this.#touchOnly(newMaxAge);
    const [before, after] = [this.#codec.decode(this.#seen) as Data, this.#codec.decode(wanted) as Data];
    const saved = await this.#holding.sessions.save(current, after, {
      seen: before,
      ...this.#userChange(before, after),
      ...this.#idleChange(newMaxAge),
    });
    if (!saved) return this.#die();
    this.#session = saved;
    this.#seen = wanted;
    this.#keepMaxAge(newMaxAge);
    return true;
  }

  async #touchOnly(newMaxAge: MaxAge): Promise<boolean | "failed"> {
    if (this.#isDead) return false;
    if (isExpired(newMaxAge)) return this.#end();
    const current = await this.#open();
    if (!current) return false;
    const change = this.#idleChange(newMaxAge);
    const touched = await this.#holding.sessions.touch(current, change);
    if (!touched) return this.#die();
    // The very session back: no touch was due, or it failed.
    if (touched === current && change.idle !== undefined && change.idle !== current.idle) return "failed";
    this.#keepMaxAge(newMaxAge);
    this.#session = touched;
    return true;
  }

  #changesNothing(wanted: string, seen: string): boolean {
    return wanted === seen || isEmpty(changesBetween(this.#codec, seen, wanted));
  }

  /** Whether a touch would do nothing: most page views end so. */
  #isRested(newMaxAge: MaxAge): boolean {
    if (!this.#session || this.#isDead || this.#writing > 0 || isExpired(newMaxAge)) return false;
    return isSameMaxAge(this.maxAge, newMaxAge) && !this.#holding.sessions.touchIsDue(this.#session);
  }

  /** What the framework showed of a session, from what was stored: the application may have changed the data since. */
  #seenOf(loaded: Session<Data>): string {
    const data = this.#codec.decode(recordOf(loaded).data) as Data;
    return this.#codec.encode(this.#holding.shown({ ...loaded, data }));
  }

  /** Asked at each write: a session may be ended before it was ever stored. */
  #isNew(): boolean {
    return !this.#session && this.#mayCreate && (this.#triedToCreate || !this.#holding.isKnown(this.token));
  }

  async #touchAtMost(newMaxAge: MaxAge, wanted: string | undefined): Promise<boolean | "failed"> {
    try {
      return await (wanted === undefined ? this.#touchOnly(newMaxAge) : this.#store(wanted, newMaxAge));
    } catch (error) {
      if (isExpired(newMaxAge)) throw error;
      this.#holding.touchFailed(this.token, this.userId ?? null, error);
      return "failed";
    }
  }

  async #create(wanted: string, newMaxAge: MaxAge): Promise<boolean> {
    const data = this.#codec.decode(wanted) as Data;
    // Before the answer: an error leaves open whether it is stored.
    this.#triedToCreate = true;
    this.#holding.remember(this.token);
    const created = await this.#holding.sessions.createWithToken(this.token, data, {
      ...(this.#holding.userOf ? { userId: this.#holding.userOf(data) ?? null } : {}),
      idle: idleFor(this.#holding.sessions.policy, newMaxAge, this.#holding.mayLengthen),
    });
    if (!created) return false;
    this.#session = created;
    this.#seen = wanted;
    this.maxAge = newMaxAge;
    return true;
  }

  /** As it was while it only drifts: else it would creep away unnoticed. */
  #keepMaxAge(newMaxAge: MaxAge): void {
    if (!isSameMaxAge(this.maxAge, newMaxAge)) this.maxAge = newMaxAge;
  }

  async #open(): Promise<Session<Data> | null> {
    this.#session ??= (await this.#holding.sessions.get(this.token, { touch: false })) ?? undefined;
    if (!this.#session) this.#die();
    return this.#session ?? null;
  }

  async #end(): Promise<false> {
    await this.#holding.revoke(this.token);
    return this.#die();
  }

  /** A save that comes too late. One that changes nothing loses nothing. */
  #drop(wanted: string): false {
    const seen = this.#seen ?? (this.#session && this.#seenOf(this.#session));
    if (seen === undefined || !this.#changesNothing(wanted, seen)) {
      publish("late-save-dropped", {
        id: this.#holding.sessions.idOf(this.token),
        userId: this.userId ?? null,
      });
    }
    return this.#die();
  }

  #die(): false {
    this.#isDead = true;
    return false;
  }

  /**
   * Only what this request changed: one that began before a login and ends after it would otherwise take the session from its
   * user again.
   */
  #userChange(before: Data, after: Data): { readonly userId?: UserId | null } {
    if (!this.#holding.userOf) return {};
    const [was, is] = [this.#holding.userOf(before) ?? null, this.#holding.userOf(after) ?? null];
    return was === is ? {} : { userId: is };
  }

  /** Only when it was changed: a session may have an idle timeout of its own that no cookie tells of. */
  #idleChange(newMaxAge: MaxAge): { readonly idle?: number } {
    if (isSameMaxAge(this.maxAge, newMaxAge)) return {};
    return { idle: idleFor(this.#holding.sessions.policy, newMaxAge, this.#holding.mayLengthen) };
  }
}
