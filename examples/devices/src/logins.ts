/** Logins and logouts of one request. */
export interface Logins {
  /** Who is logged in. A login changes it. */
  readonly userId: string | null;
  /** `refused`: nobody is logged in, because the user was logged out everywhere meanwhile. */
  logIn(userId: string): Promise<{ readonly refused: string | null }>;
  logOut(): Promise<void>;
  /** @param options `keepThis`: on all other devices */
  logOutEverywhere(options?: { readonly keepThis?: boolean }): Promise<number>;
}

/** What the bridges to all frameworks offer, each for its own requests. */
export interface Bridge<Request> {
  userOf(request: Request): string | null;
  logIn(request: Request, userId: string): Promise<{ readonly refused: string | null }>;
  logOut(request: Request): Promise<void>;
  logOutEverywhere(request: Request, options?: { readonly keepThis?: boolean }): Promise<number>;
}

export function loginsOf<Request>(bridge: Bridge<Request>, request: Request): Logins {
  return {
    get userId() {
      return bridge.userOf(request);
    },
    logIn: (userId) => bridge.logIn(request, userId),
    logOut: () => bridge.logOut(request),
    logOutEverywhere: (options) => bridge.logOutEverywhere(request, options),
  };
}
