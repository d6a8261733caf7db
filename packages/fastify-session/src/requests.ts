import {
  type Bridge,
  hiddenValue,
  isOwnToken,
  type Loaded,
  type RequestSession,
  type Warn,
} from "@tenure/core/bridge";
import { warnIfNotSent } from "./cookie-warnings.ts";
import {
  attach,
  type FrameworkRequest,
  type FrameworkSession,
  type FrameworkStore,
  isSession,
  requestOf,
  whenAssigned,
} from "./framework.ts";
import { RequestLink } from "./request-link.ts";

/** The requests of one store, each with its link. */
export class Requests<Data extends object> {
  /** Whose Session calls `get` or `destroy` at this moment. */
  caller: RequestLink<Data> | undefined;
  readonly #bridge: Bridge<Data>;
  readonly #warn: Warn;
  readonly #isUse: (request: FrameworkRequest) => boolean;
  /** By the request, and by each Session of it. */
  readonly #links = hiddenValue<RequestLink<Data>>();

  constructor(bridge: Bridge<Data>, warn: Warn, isUse: (request: FrameworkRequest) => boolean) {
    this.#bridge = bridge;
    this.#warn = warn;
    this.#isUse = isUse;
  }

  /** `undefined`: the request has no session of this store. */
  of(request: FrameworkRequest): RequestLink<Data> | undefined {
    return this.#links.get(request) ?? this.#beginCached(request);
  }

  /** Whether {@link show} has been called for a Session. */
  isShown(session: FrameworkSession): boolean {
    return this.#links.get(session) !== undefined;
  }

  /** For a Session that the framework has made of a live session's data. */
  beginLoaded(session: FrameworkSession, loaded: Loaded<Data>, data: Data): void {
    const request = requestOf(session);
    if (!request) return;
    const link = this.#link(request, this.#newCurrent(request, loaded));
    this.show(link, session);
    link.noteLoaded(session, data);
  }

  /** For a request whose Session the framework is about to make. Returns its token. */
  beginNew(request: FrameworkRequest, loaded: Loaded<Data> | undefined): string {
    const current = this.#newCurrent(request, loaded);
    const link = this.#link(request, current);
    whenAssigned(request, (session) => this.show(link, session));
    return current.token;
  }

  /** Makes a Session the one of its request. */
  show(link: RequestLink<Data>, session: FrameworkSession): void {
    this.#links.set(session, link);
    link.show(session);
    attach(
      session,
      link.request,
      (before) => (link.store ??= this.#storeOf(link, before)),
      () => {
        if (!link.hasCookie(session)) return false;
        // The framework asks at the end of each request, and calls nothing else if the connection is not secure.
        warnIfNotSent(this.#warn, link.request, session);
        return true;
      },
    );
  }

  /** For a Session that a cache before this store has given to the framework. */
  #beginCached(request: FrameworkRequest): RequestLink<Data> | undefined {
    const { session } = request;
    if (!isSession(session) || !isOwnToken(session.sessionId)) return undefined;
    const { sessionId } = session;
    const link = this.#link(request, async () =>
      this.#bridge.request(await this.#bridge.load(sessionId), {
        isUse: this.#isUse(request),
        seen: {} as Data,
      }),
    );
    this.show(link, session);
    return link;
  }

  #link(
    request: FrameworkRequest,
    current: RequestSession<Data> | (() => Promise<RequestSession<Data>>),
  ): RequestLink<Data> {
    const link = new RequestLink(request, current);
    this.#links.set(request, link);
    return link;
  }

  #newCurrent(request: FrameworkRequest, loaded: Loaded<Data> | undefined): RequestSession<Data> {
    return this.#bridge.request(loaded, { isUse: this.#isUse(request) });
  }

  /** The store of a link's Sessions, by which `get` and `destroy` know who calls. Another store may stand before this one. */
  #storeOf(link: RequestLink<Data>, before: FrameworkStore): FrameworkStore {
    const call = (method: () => void): void => {
      this.caller = link;
      try {
        method();
      } finally {
        this.caller = undefined;
      }
    };
    return {
      get: (sessionId, callback) => call(() => before.get(sessionId, callback)),
      set: (sessionId, session, callback) => before.set(sessionId, session, callback),
      destroy: (sessionId, callback) => call(() => before.destroy(sessionId, callback)),
    };
  }
}
