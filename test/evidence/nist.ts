import type { Standard } from "./requirement.ts";

export const nist: Standard = {
  mark: "NIST",
  page: "docs/NIST.md",
  title: "Evidence for NIST SP 800-63B-4",
  introduction:
    "What [NIST SP 800-63B-4](https://pages.nist.gov/800-63-4/sp800-63b.html) asks of sessions, paraphrased. The publication itself is authoritative. Authentication (sections 2 to 4, except reauthentication) is up to the application: Tenure begins when the application names a user who has authenticated.",
  sections: [
    {
      title: "Reauthentication, by assurance level",
      requirements: [
        {
          id: "2.1.3",
          asks: "AAL1: a session ends at most 30 days after the login. An inactivity timeout is optional.",
          met: 'The option `lifetime: "30d"`. A longer one prints a warning.',
        },
        {
          id: "2.2.3",
          asks: "AAL2: a session ends after at most 24 hours, and after at most one hour of inactivity.",
          met: '`idleTimeout: "1h"` and `lifetime: "24h"`. The defaults are shorter: 30 minutes and 12 hours. Tenure does not offer to continue with one factor after the inactivity timeout, because the session has ended.',
        },
        {
          id: "2.3.3",
          asks: "AAL3: a session ends after at most 12 hours, which is required, and after at most 15 minutes of inactivity.",
          met: '`idleTimeout: "15m"` and `lifetime: "12h"`, which is the default lifetime.',
        },
      ],
    },
    {
      title: "Session management",
      requirements: [
        {
          id: "5.1",
          asks: "A session depends on a secret of at least 64 random bits. The server generates it at the login, and invalidates it at a logout and after the timeouts. Nobody between the client and the server can see it. Users can log out easily. POST requests are protected against cross-site request forgery.",
          met: "The secret has 256 random bits and is new at each login. A token that was not issued is never adopted. No late save undoes a logout or a timeout. Stores hold only a digest, and no event, error or object shows the secret.",
          application:
            "Use TLS without a fallback to plain HTTP, show a way to log out, and protect against cross-site requests. SameSite helps with that but is not sufficient. Cookies end with the browser session unless you give them a `maxAge`.",
        },
        {
          id: "5.1.1",
          asks: "Cookies are sent over TLS only, to as few hosts and paths as possible, and are not accessible to scripts. They expire at about the same time as the session. They have the prefix `__Host-`, the path `/`, SameSite Lax or Strict, and an opaque value without personal data.",
          met: "`secureCookie(sessions)` of each bridge sets these. Warnings name what a framework's own settings lack. The cookie holds an opaque token. The server's timeouts are authoritative, not the cookie's expiry.",
        },
        {
          id: "5.1.2",
          asks: "The presence of an access token (OAuth) does not show that the user is present.",
          application: "Tenure has no access tokens.",
        },
        {
          id: "5.2",
          asks: "An overall timeout and an inactivity timeout end the session. Activity restarts the latter, and a reauthentication restarts both. Both are documented.",
          met: "`lifetime` and `idleTimeout`, which are exact by the store's clock. A `logIn` of the same user restarts both. `requireRecent` requires a recent authentication.",
          application: "Document them: [timeouts by standard](TIMEOUTS.md).",
        },
        {
          id: "5.3",
          asks: "Sessions may be monitored for signs of fraud, with regard to privacy.",
          met: "`superseded-token-used` reports the use of a token that was stolen or kept. [Your devices](YOUR-DEVICES.md) shows users where they are logged in. Tenure itself stores neither addresses nor user agents.",
          application: "Decide what else to monitor, and assess its effect on privacy.",
        },
      ],
    },
  ],
};
