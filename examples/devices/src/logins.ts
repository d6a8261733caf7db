export interface Logins {
  /** The logged-in user. A login changes it. */
  readonly userId: string | null;
  /** `refused`: nobody is logged in, because the user was logged out everywhere after the request began. */
  logIn(userId: string): Promise<{ readonly refused: string | null }>;
  logOut(): Promise<void>;
  /** @param options `keepThis`: log out only the other devices */
  logOutEverywhere(options?: { readonly keepThis?: boolean }): Promise<number>;
}

/** The calls that the bridges of all frameworks share, each for its own requests. */
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
