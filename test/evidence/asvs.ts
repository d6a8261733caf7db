import type { Standard } from "./requirement.ts";

export const asvs: Standard = {
  mark: "ASVS",
  page: "docs/ASVS.md",
  title: "Evidence for OWASP ASVS 5.0",
  introduction:
    "The requirements of the [OWASP Application Security Verification Standard 5.0](https://github.com/OWASP/ASVS/tree/v5.0.0) that concern sessions, in words of our own: read the standard itself for what it says.",
  sections: [
    {
      title: "V3.3 Cookies",
      requirements: [
        {
          id: "3.3.1",
          asks: "Cookies go over TLS only, and have a prefix that says so.",
          met: "`secureCookie(sessions)` of each bridge sets `Secure` and the prefix `__Host-`. A warning names the setting where a cookie lacks them.",
        },
        {
          id: "3.3.2",
          asks: "Cookies have a SameSite that fits their use.",
          met: "`secureCookie` sets `Lax`; `None` without `Secure` is an error, and a warning.",
          application: "Choose `strict` where no link from another site has to find the user logged in.",
        },
        {
          id: "3.3.3",
          asks: "Cookies that are not shared between hosts are bound to theirs (`__Host-`).",
          met: "As 3.3.1.",
        },
        {
          id: "3.3.4",
          asks: "Scripts cannot read a session cookie.",
          met: "`secureCookie` sets `HttpOnly`, and refuses to leave it out. A warning names it where the framework's setting is off.",
        },
        {
          id: "3.3.5",
          asks: "A cookie is not so large that browsers drop it.",
          met: "A token has 66 characters, to which the frameworks add a signature and nothing else.",
        },
      ],
    },
    {
      title: "V7.1 Session management: documentation",
      requirements: [
        {
          id: "7.1.1",
          asks: "The timeouts are written down, with reasons where they differ from NIST's.",
          met: "[Timeouts by standard](TIMEOUTS.md) has the values and the lines. A lifetime beyond NIST's longest is warned about. A login's own timeouts stay within maxima of the policy.",
          application: "Write down your own values, and why.",
        },
        {
          id: "7.1.2",
          asks: "It is written down how many sessions an account may have, and what happens at one more.",
          met: "The options `maxPerUser` and `onCap`.",
          application: "Choose them, and write them down.",
        },
        {
          id: "7.1.3",
          asks: "With single sign-on: the systems, and how they end sessions together, are written down.",
          application:
            "Only the application knows the other systems. `authenticatedUpTo` is for their logouts.",
        },
      ],
    },
    {
      title: "V7.2 Session management: fundamentals",
      requirements: [
        {
          id: "7.2.1",
          asks: "Tokens are checked by a trusted service.",
          met: "Every `get` asks the store. Nothing in the cookie is believed, and a token that was not issued is never adopted.",
        },
        {
          id: "7.2.2",
          asks: "Tokens are made for each session, not static keys.",
          met: "As 7.2.3.",
        },
        {
          id: "7.2.3",
          asks: "Tokens are unique, from a CSPRNG, with at least 128 bits.",
          met: "128 random bits of id and 256 of secret, from `node:crypto`. Tokens that a framework makes must have room for 128 bits.",
        },
        {
          id: "7.2.4",
          asks: "A login gives a new token, and the old one is dead.",
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
          met: "The option `idleTimeout`, exact, by the store's clock.",
        },
        {
          id: "7.3.2",
          asks: "Sessions end after a time, however much they are used.",
          met: "The option `lifetime`. Only a login restarts it.",
        },
      ],
    },
    {
      title: "V7.4 Session termination",
      requirements: [
        {
          id: "7.4.1",
          asks: "A session that was logged out or has expired cannot go on.",
          met: "Promise 3, no resurrection: no late save, touch or create, from any process, makes it readable again.",
        },
        {
          id: "7.4.2",
          asks: "All sessions end when an account is disabled or deleted.",
          met: "`revokeAllForUser`. Promise 4: a login that had begun before is refused.",
          application: "Call it.",
        },
        {
          id: "7.4.3",
          asks: "After a change of a password or factor, all other sessions can be ended.",
          met: "`revokeAllForUser` with an exception; `logOutEverywhere(req, { keepThis: true })` of the bridges.",
          application: "Offer it, or do it always.",
        },
        {
          id: "7.4.4",
          asks: "Every page that needs a login has a visible way to log out.",
          application: "Pages are the application's.",
        },
        {
          id: "7.4.5",
          asks: "Administrators can end the sessions of one user, and of all.",
          met: "`revokeAllForUser`, `revokeById`, `revokeEveryone`, and the command line of `@tenure/cli`. The events say who did it.",
        },
      ],
    },
    {
      title: "V7.5 Defence against session abuse",
      requirements: [
        {
          id: "7.5.1",
          asks: "What affects how a user authenticates can be changed only after authenticating again.",
          met: "`requireRecent(session, within)`.",
          application: "Call it before such a change.",
        },
        {
          id: "7.5.2",
          asks: "Users see their sessions and, having authenticated again, end any of them.",
          met: "`listForUser`, `revokeById`, `requireRecent`: [your devices](YOUR-DEVICES.md), whose program is run by the tests.",
          application: "The page.",
        },
        {
          id: "7.5.3",
          asks: "Very sensitive operations ask for authentication, or a second check.",
          met: "`requireRecent`.",
          application: "Call it; a second check is the application's.",
        },
      ],
    },
    {
      title: "V7.6 Federated re-authentication",
      requirements: [
        {
          id: "7.6.1",
          asks: "Sessions of the relying party and the identity provider end as documented.",
          met: "`authenticatedUpTo` ends what was authenticated up to the provider's message, and no later login. `lifetime` of a login takes over the provider's limit.",
          application: "Receive and check the provider's messages.",
        },
        {
          id: "7.6.2",
          asks: "A session begins only by the user's action or consent.",
          application: "The application decides when it calls `logIn`.",
        },
      ],
    },
    {
      title: "V11 Cryptography",
      requirements: [
        {
          id: "11.1.1",
          asks: "Keys have a documented life cycle.",
          met: "[Protected data](PROTECTED-DATA.md#keys): adding, replacing, losing, and theft of a key.",
          application: "Making, keeping and replacing the keys.",
        },
        {
          id: "11.1.2",
          asks: "There is an inventory of keys and algorithms.",
          met: "[Protected data](PROTECTED-DATA.md#the-format-byte-by-byte) names all of them.",
          application: "List the keys themselves.",
        },
        {
          id: "11.2.1",
          asks: "Cryptography is by validated implementations.",
          met: "`node:crypto` (OpenSSL) alone.",
        },
        {
          id: "11.2.2",
          asks: "Algorithms and keys can be replaced, and data encrypted again.",
          met: "The stored format has a version, and each session the id of its key. `reencrypt` moves all while people log in.",
        },
        {
          id: "11.2.3",
          asks: "Primitives have at least 128 bits of security.",
          met: "AES-256, SHA-256, HMAC-SHA-256, keys of at least 256 bits.",
        },
        {
          id: "11.2.4",
          asks: "Comparisons are constant-time.",
          met: "Digests of tokens are compared with `timingSafeEqual`, and nothing is decrypted or decoded before they match.",
        },
        {
          id: "11.2.5",
          asks: "Cryptography fails securely.",
          met: "What does not authenticate is an unreadable session, whatever was wrong with it. There is no padding.",
        },
        { id: "11.3.1", asks: "No insecure modes and paddings.", met: "As 11.3.2." },
        { id: "11.3.2", asks: "Only approved ciphers and modes.", met: "The option `protect`: AES-256-GCM." },
        {
          id: "11.3.3",
          asks: "Encrypted data are protected against changes.",
          met: "AES-GCM, with the head, the key's id, the session's id and its user as associated data.",
        },
        {
          id: "11.3.4",
          asks: "Nonces are not used twice.",
          met: "96 random bits and a key for each session: [bounds](PROTECTED-DATA.md#bounds).",
        },
        {
          id: "11.3.5",
          asks: "Encryption and MAC are combined as encrypt-then-MAC.",
          met: "AES-GCM is one primitive for both.",
        },
        { id: "11.4.1", asks: "Only approved hash functions.", met: "SHA-256, in HMAC and HKDF." },
        {
          id: "11.4.2",
          asks: "Passwords are stored with a slow function.",
          application: "Tenure knows no passwords.",
        },
        {
          id: "11.5.1",
          asks: "What must not be guessed is from a CSPRNG, with at least 128 bits; a UUID is not enough.",
          met: "As 7.2.3.",
        },
      ],
    },
    {
      title: "V14 Data protection",
      requirements: [
        {
          id: "14.1.2",
          asks: "Protection requirements of data are written down.",
          met: "[Protected data](PROTECTED-DATA.md) says what is encrypted and what remains readable.",
          application: "Decide what may be in a session.",
        },
        {
          id: "14.2.1",
          asks: "Tokens are not in URLs.",
          met: "The bridges read cookies alone. Ids, which log nobody in, may be in URLs.",
        },
        {
          id: "14.2.4",
          asks: "Encryption, retention and logging of sensitive data are as documented.",
          met: "A search for a token and for data in every database, event, error and public object.",
        },
        {
          id: "14.2.7",
          asks: "Old data are deleted.",
          met: "Stores delete expired sessions, and revoked ones at once but for a mark without data.",
        },
        {
          id: "14.3.1",
          asks: "Data are cleared from the browser when the session ends.",
          application:
            "`Clear-Site-Data` in the response of a logout. Tenure leaves nothing but the cookie in a browser.",
        },
        {
          id: "14.3.3",
          asks: "Nothing sensitive but the token is in the browser's storage.",
          met: "The cookie has the token alone.",
          application: "What else the application stores there.",
        },
      ],
    },
    {
      title: "V16 Logging and error handling",
      requirements: [
        {
          id: "16.1.1",
          asks: "An inventory says what is logged, where and how long.",
          met: "The [table of events](../packages/core/README.md#events).",
          application: "Where they go, who reads them, and how long they stay.",
        },
        {
          id: "16.2.1",
          asks: "Each entry says when, where, who and what.",
          met: "Every event has `at`, `event`, `userId`, `id` and `outcome`; the end of a session has `by` and `actor`. The example adds service, host and process.",
        },
        {
          id: "16.2.2",
          asks: "Times are in UTC, and clocks agree.",
          met: "`at` is epoch milliseconds; the example writes UTC.",
          application: "Synchronize the clocks of the machines.",
        },
        {
          id: "16.2.3",
          asks: "Logs go only where the inventory says.",
          application: "Tenure writes no logs: it publishes events in the process.",
        },
        {
          id: "16.2.4",
          asks: "Logs can be read and correlated by machines.",
          met: "The example writes JSON lines.",
        },
        {
          id: "16.2.5",
          asks: "Sensitive data are logged by their protection level; tokens only hashed or masked.",
          met: "Events, errors and their causes hold no tokens, data or rows.",
        },
        {
          id: "16.3.1",
          asks: "Authentication is logged, successful or not.",
          met: "`logged-in` and `login-refused`.",
          application: "Wrong passwords and missing factors, which Tenure does not see.",
        },
        {
          id: "16.3.2",
          asks: "Failed authorization is logged.",
          application: "Who may do what is the application's.",
        },
        {
          id: "16.3.3",
          asks: "Documented security events are logged, and attempts to get around controls.",
          met: "`refused`, `superseded-token-used`, `unreadable`, `late-save-dropped`, `revoked`.",
        },
        {
          id: "16.3.4",
          asks: "Unexpected errors and failures of controls are logged.",
          met: "`store-failure`, `touch-failed`, `unreadable`.",
        },
        {
          id: "16.4.1",
          asks: "Log entries are encoded, so that nobody can forge one.",
          met: "JSON, in the example.",
        },
        {
          id: "16.4.2",
          asks: "Logs cannot be read or changed without leave.",
          application: "Logs are the application's.",
        },
        {
          id: "16.4.3",
          asks: "Logs are sent to a separate system.",
          application: "Logs are the application's.",
        },
        {
          id: "16.5.1",
          asks: "Errors show users nothing internal.",
          met: "Messages and causes hold no tokens, keys, data or rows, also where the server quotes them.",
          application: "Answer errors without their message.",
        },
        {
          id: "16.5.2",
          asks: "The application goes on securely when a resource fails.",
          met: "As 16.5.3. Calls have a deadline.",
        },
        {
          id: "16.5.3",
          asks: "Failures do not open doors.",
          met: "Promise 9: a failing backend is an error, never an absence, and never a login.",
        },
      ],
    },
  ],
};
