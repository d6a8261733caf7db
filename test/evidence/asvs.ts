import type { Standard } from "./requirement.ts";

export const asvs: Standard = {
  mark: "ASVS",
  page: "docs/ASVS.md",
  title: "Evidence for OWASP ASVS 5.0",
  introduction:
    "The requirements of the [OWASP Application Security Verification Standard 5.0](https://github.com/OWASP/ASVS/tree/v5.0.0) that concern sessions, paraphrased. The standard itself is authoritative.",
  sections: [
    {
      title: "V3.3 Cookies",
      requirements: [
        {
          id: "3.3.1",
          asks: "Cookies are sent over TLS only, and have a prefix that ensures this.",
          met: "`secureCookie(sessions)` of each bridge sets `Secure` and the prefix `__Host-`. If a cookie lacks them, a warning names the setting.",
        },
        {
          id: "3.3.2",
          asks: "Cookies have a SameSite attribute that fits their use.",
          met: "`secureCookie` sets `Lax`. `None` without `Secure` is an error in `secureCookie`, and a warning in a framework's own settings.",
          application: "Choose `strict` if users who follow a link from another site need not be logged in.",
        },
        {
          id: "3.3.3",
          asks: "A cookie that is not shared between hosts is bound to its host (`__Host-`).",
          met: "See 3.3.1.",
        },
        {
          id: "3.3.4",
          asks: "Scripts cannot read a session cookie.",
          met: "`secureCookie` sets `HttpOnly` and refuses to omit it. If the framework's setting is off, a warning names it.",
        },
        {
          id: "3.3.5",
          asks: "A cookie is not so large that browsers drop it.",
          met: "A token has 66 characters, to which the frameworks add a signature and nothing else.",
          byDocument: true,
        },
      ],
    },
    {
      title: "V7.1 Session management: documentation",
      requirements: [
        {
          id: "7.1.1",
          asks: "The timeouts are documented, with reasons if they differ from NIST's.",
          met: "[Timeouts by standard](TIMEOUTS.md) has the values and the configuration. A lifetime beyond NIST's longest prints a warning. A login's own timeouts cannot exceed the policy's maxima.",
          application: "Document your own values, with reasons.",
        },
        {
          id: "7.1.2",
          asks: "The documentation says how many sessions an account may have, and what happens beyond that number.",
          met: "The options `maxPerUser` and `onCap`.",
          application: "Choose and document them.",
        },
        {
          id: "7.1.3",
          asks: "With single sign-on, the documentation names the systems and how they end sessions together.",
          application:
            "Only the application knows the other systems. `authenticatedUpTo` handles their logouts.",
        },
      ],
    },
    {
      title: "V7.2 Session management: fundamentals",
      requirements: [
        {
          id: "7.2.1",
          asks: "Tokens are checked by a trusted service.",
          met: "Every `get` reads the store. Nothing in the cookie is trusted, and a token that was not issued is never adopted.",
        },
        {
          id: "7.2.2",
          asks: "Tokens are generated for each session, and are not static keys.",
          met: "See 7.2.3.",
          byDocument: true,
        },
        {
          id: "7.2.3",
          asks: "Tokens are unique, from a CSPRNG, with at least 128 bits.",
          met: "128 random bits of id and 256 of secret, from `node:crypto`. A token that a framework generates must have room for 128 bits.",
        },
        {
          id: "7.2.4",
          asks: "A login issues a new token and invalidates the old one.",
          met: "`logIn` replaces the secret, in one conditional update; `rotate` does so at a change of privilege.",
        },
      ],
    },
    {
      title: "V7.3 Session timeout",
      requirements: [
        {
          id: "7.3.1",
          asks: "Sessions end after inactivity.",
          met: "The option `idleTimeout`, which is exact by the store's clock.",
        },
        {
          id: "7.3.2",
          asks: "Sessions end after a fixed time, however much they are used.",
          met: "The option `lifetime`. Only a login restarts it.",
        },
      ],
    },
    {
      title: "V7.4 Session termination",
      requirements: [
        {
          id: "7.4.1",
          asks: "A session that was logged out or has expired cannot be used again.",
          met: "Promise 3, no resurrection: no late save, touch or create, from any process, makes it readable again.",
        },
        {
          id: "7.4.2",
          asks: "All sessions end when an account is disabled or deleted.",
          met: "`revokeAllForUser`. Promise 4: a login that began before the call is refused.",
          application: "Call it.",
        },
        {
          id: "7.4.3",
          asks: "After a change of a password or factor, all other sessions can be ended.",
          met: "`revokeAllForUser` with `exceptId`; `logOutEverywhere(req, { keepThis: true })` of the bridges.",
          application: "Offer this, or always do it.",
        },
        {
          id: "7.4.4",
          asks: "Every page that needs a login has a visible way to log out.",
          application: "Show a way to log out on each page.",
        },
        {
          id: "7.4.5",
          asks: "Administrators can end the sessions of one user and of all users.",
          met: "`revokeAllForUser`, `revokeById`, `revokeEveryone`, and the command line of `@tenure/cli`. The events say who did it.",
        },
      ],
    },
    {
      title: "V7.5 Defence against session abuse",
      requirements: [
        {
          id: "7.5.1",
          asks: "A user must authenticate again before changing anything that affects authentication.",
          met: "`requireRecent(session, within)`.",
          application: "Call it before such a change.",
        },
        {
          id: "7.5.2",
          asks: "Users see their sessions and, having authenticated again, end any of them.",
          met: "`listForUser`, `revokeById`, `requireRecent`: [your devices](YOUR-DEVICES.md), whose program the tests run.",
          application: "Provide the page.",
        },
        {
          id: "7.5.3",
          asks: "Very sensitive operations require authentication or a second check.",
          met: "`requireRecent`.",
          application: "Call it. Implement the second check, if there is one.",
        },
      ],
    },
    {
      title: "V7.6 Federated re-authentication",
      requirements: [
        {
          id: "7.6.1",
          asks: "Sessions of the relying party and the identity provider end as documented.",
          met: "`authenticatedUpTo` ends sessions that were authenticated up to the provider's message, and none of a later login. The `lifetime` of a login can adopt the provider's limit.",
          application: "Receive and verify the provider's messages.",
        },
        {
          id: "7.6.2",
          asks: "A session begins only by the user's action or with the user's consent.",
          application: "Call `logIn` only after such an action.",
        },
      ],
    },
    {
      title: "V11 Cryptography",
      requirements: [
        {
          id: "11.1.1",
          asks: "Keys have a documented life cycle.",
          met: "[Protected data](PROTECTED-DATA.md#keys): how to add and replace a key, and what to do if one is lost or stolen.",
          byDocument: true,
          application: "Generate, store and replace the keys.",
        },
        {
          id: "11.1.2",
          asks: "There is an inventory of keys and algorithms.",
          met: "[Protected data](PROTECTED-DATA.md#the-format-byte-by-byte) names every algorithm and derived key.",
          byDocument: true,
          application: "List the keys themselves.",
        },
        {
          id: "11.2.1",
          asks: "Cryptography uses validated implementations.",
          met: "Only `node:crypto` (OpenSSL).",
        },
        {
          id: "11.2.2",
          asks: "Algorithms and keys can be replaced, and data re-encrypted.",
          met: "The stored format has a version, and each session names its key. `reencrypt` moves all sessions to a new key while users log in.",
        },
        {
          id: "11.2.3",
          asks: "Primitives have at least 128 bits of security.",
          met: "AES-256, SHA-256, HMAC-SHA-256, keys of at least 256 bits.",
          byDocument: true,
        },
        {
          id: "11.2.4",
          asks: "Comparisons are constant-time.",
          met: "Digests of tokens are compared with `timingSafeEqual`, and nothing is decrypted or decoded before they match.",
          byDocument: true,
        },
        {
          id: "11.2.5",
          asks: "Cryptography fails securely.",
          met: "A session whose data fail authentication is unreadable, whatever the reason. There is no padding.",
          byDocument: true,
        },
        { id: "11.3.1", asks: "No insecure modes or paddings.", met: "See 11.3.2.", byDocument: true },
        { id: "11.3.2", asks: "Only approved ciphers and modes.", met: "The option `protect`: AES-256-GCM." },
        {
          id: "11.3.3",
          asks: "Encrypted data are protected against modification.",
          met: "AES-GCM, with the head, the key's id, the session's id and its user as associated data.",
        },
        {
          id: "11.3.4",
          asks: "Nonces are not used twice.",
          met: "A nonce is 96 random bits, and each session has its own key: [bounds](PROTECTED-DATA.md#bounds).",
        },
        {
          id: "11.3.5",
          asks: "Encryption and MAC are combined as encrypt-then-MAC.",
          met: "AES-GCM is one primitive for both.",
          byDocument: true,
        },
        {
          id: "11.4.1",
          asks: "Only approved hash functions.",
          met: "SHA-256, in HMAC and HKDF.",
          byDocument: true,
        },
        {
          id: "11.4.2",
          asks: "Passwords are stored with a slow hash function.",
          application: "Tenure does not handle passwords.",
        },
        {
          id: "11.5.1",
          asks: "Unguessable values come from a CSPRNG and have at least 128 bits. A UUID is not enough.",
          met: "See 7.2.3.",
        },
      ],
    },
    {
      title: "V14 Data protection",
      requirements: [
        {
          id: "14.1.2",
          asks: "Protection requirements of data are documented.",
          met: "[Protected data](PROTECTED-DATA.md) says what is encrypted and what remains readable.",
          byDocument: true,
          application: "Decide what may be in a session.",
        },
        {
          id: "14.2.1",
          asks: "Tokens are not in URLs.",
          met: "The bridges read only cookies. Session ids may appear in URLs, because they log nobody in.",
          byDocument: true,
        },
        {
          id: "14.2.4",
          asks: "Encryption, retention and logging of sensitive data are as documented.",
          met: "Tests search every database, event, error and public object for a token and for session data.",
        },
        {
          id: "14.2.7",
          asks: "Old data are deleted.",
          met: "Stores delete expired sessions. Revoking a session deletes its data immediately and leaves a tombstone without data.",
        },
        {
          id: "14.3.1",
          asks: "Data are cleared from the browser when the session ends.",
          application:
            "`Clear-Site-Data` in the response of a logout. Tenure stores nothing but the cookie in a browser.",
        },
        {
          id: "14.3.3",
          asks: "The browser stores nothing sensitive except the token.",
          met: "The cookie contains only the token.",
          byDocument: true,
          application: "Check what else the application stores there.",
        },
      ],
    },
    {
      title: "V16 Logging and error handling",
      requirements: [
        {
          id: "16.1.1",
          asks: "An inventory says what is logged, where, and for how long.",
          met: "The [table of events](../packages/core/README.md#events).",
          byDocument: true,
          application: "Document where they go, who reads them, and how long they are kept.",
        },
        {
          id: "16.2.1",
          asks: "Each entry says when, where, who and what.",
          met: "Every event has `at`, `event`, `userId`, `id` and `outcome`; the end of a session has `by` and `actor`. The example `audit-log` adds service, host and process.",
        },
        {
          id: "16.2.2",
          asks: "Times are in UTC, and clocks agree.",
          met: "`at` is epoch milliseconds. The example `audit-log` writes UTC.",
          application: "Synchronize the clocks of the machines.",
        },
        {
          id: "16.2.3",
          asks: "Logs go only where the inventory says.",
          application: "Tenure writes no logs. It publishes events within the process.",
        },
        {
          id: "16.2.4",
          asks: "Logs are machine-readable and can be correlated.",
          met: "The example `audit-log` writes JSON lines.",
        },
        {
          id: "16.2.5",
          asks: "Sensitive data are logged according to their protection level, and tokens only hashed or masked.",
          met: "Events, errors and their causes hold no tokens, data or rows.",
        },
        {
          id: "16.3.1",
          asks: "Authentication is logged, successful or not.",
          met: "`logged-in` and `login-refused`.",
          application: "Log wrong passwords and missing factors, which Tenure does not see.",
        },
        {
          id: "16.3.2",
          asks: "Failed authorization is logged.",
          application: "Authorize requests, and log failures.",
        },
        {
          id: "16.3.3",
          asks: "Documented security events and attempts to bypass controls are logged.",
          met: "`refused`, `superseded-token-used`, `unreadable`, `late-save-dropped`, `revoked`.",
        },
        {
          id: "16.3.4",
          asks: "Unexpected errors and failures of controls are logged.",
          met: "`store-failure`, `touch-failed`, `unreadable`.",
        },
        {
          id: "16.4.1",
          asks: "Log entries are encoded to prevent log injection.",
          met: "The example `audit-log` encodes them as JSON.",
        },
        {
          id: "16.4.2",
          asks: "Logs cannot be read or changed without permission.",
          application: "Protect the logs.",
        },
        {
          id: "16.4.3",
          asks: "Logs are sent to a separate system.",
          application: "Send the logs to a separate system.",
        },
        {
          id: "16.5.1",
          asks: "Errors show users nothing internal.",
          met: "Messages and causes hold no tokens, keys, data or rows, even if the server's error quotes them.",
          application: "Respond to errors without showing their message.",
        },
        {
          id: "16.5.2",
          asks: "The application stays secure when a resource fails.",
          met: "See 16.5.3. Calls have deadlines.",
          byDocument: true,
        },
        {
          id: "16.5.3",
          asks: "The application fails securely.",
          met: "Promise 9: a failing backend is an error, never an absence, and never a login.",
        },
      ],
    },
  ],
};
