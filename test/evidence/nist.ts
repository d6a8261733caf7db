import type { Standard } from "./requirement.ts";

export const nist: Standard = {
  mark: "NIST",
  page: "docs/NIST.md",
  title: "Evidence for NIST SP 800-63B-4",
  introduction:
    "What [NIST SP 800-63B-4](https://pages.nist.gov/800-63-4/sp800-63b.html) asks of sessions, in words of our own: read the publication itself for what it says. Authentication itself (sections 2 to 4, but for reauthentication) is the application's: Tenure begins when the application says who has authenticated.",
  sections: [
    {
      title: "Reauthentication, by assurance level",
      requirements: [
        {
          id: "2.1.3",
          asks: "AAL1: a session ends 30 days after the login at the latest. An inactivity timeout is optional.",
          met: 'The option `lifetime: "30d"`. A longer one is warned about.',
        },
        {
          id: "2.2.3",
          asks: "AAL2: it ends after 24 hours at the latest, and after one hour of inactivity.",
          met: '`idleTimeout: "1h"` and `lifetime: "24h"`. The defaults are shorter: 30 minutes and 12 hours. Going on with one factor after the inactivity timeout is not offered: the session is over.',
        },
        {
          id: "2.3.3",
          asks: "AAL3: it ends after 12 hours, which is required, and after 15 minutes of inactivity.",
          met: '`idleTimeout: "15m"` and `lifetime: "12h"`, which is the default lifetime.',
        },
      ],
    },
    {
      title: "Session management",
      requirements: [
        {
          id: "5.1",
          asks: "A session rests on a secret of at least 64 random bits that the server makes at the login, that is dead after a logout and after the timeouts, and that nobody between sees. Users can log out easily. Content that is posted is protected from cross-site requests.",
          met: "256 random bits, new at each login; a token that was not issued is never adopted; a logout and a timeout hold, whatever saves late; stores have a digest alone, and no event, error or object shows the secret.",
          application:
            "TLS without a way back to plain HTTP; a visible way to log out; protection from cross-site requests, for which SameSite is a help and not the whole. Cookies end with the browser unless you give them a `maxAge`.",
        },
        {
          id: "5.1.1",
          asks: "Cookies: over TLS only, for as few hosts and paths as possible, not for scripts, ending about when the session does, with the prefix `__Host-` and the path `/`, SameSite Lax or Strict, and an opaque value without personal data.",
          met: "`secureCookie(sessions)` of each bridge sets these; warnings name what a framework's own settings lack. The cookie holds an opaque token. The server's timeouts count, and not the cookie's end.",
        },
        {
          id: "5.1.2",
          asks: "An access token (OAuth) is no sign that the user is there.",
          application: "Tenure has no access tokens.",
        },
        {
          id: "5.2",
          asks: "An overall timeout and an inactivity timeout end the session. Activity restarts the latter, and a reauthentication restarts both. Both are written down.",
          met: "`lifetime` and `idleTimeout`, exact, by the store's clock. `logIn` of the same user restarts both. `requireRecent` asks for a recent authentication.",
          application: "Write them down: [timeouts by standard](TIMEOUTS.md).",
        },
        {
          id: "5.3",
          asks: "Sessions may be watched for signs of fraud, with regard to privacy.",
          met: "`superseded-token-used` tells of a token that was stolen or kept. [Your devices](YOUR-DEVICES.md) shows users where they are logged in. Tenure stores no addresses and user agents by itself.",
          application: "Whatever else is to be watched, and its privacy assessment.",
        },
      ],
    },
  ],
};
