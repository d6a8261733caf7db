import { html, type Html } from "../html.ts";
import type { Person } from "../people.ts";

export interface Frame {
  readonly title: string;
  /** `undefined`: another page, for which the signed-in person may not be known. */
  readonly page: "home" | "race" | undefined;
  readonly person: Person | undefined;
  readonly notice?: string | undefined;
  /** Where the sessions are kept, in words. */
  readonly place: string;
}

export function layout({ title, page, person, notice, place }: Frame, main: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Tenure</title>
        <link
          rel="icon"
          href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%230f6b5c'/%3E%3Cpath d='M8 10h16M16 10v13' stroke='white' stroke-width='4' stroke-linecap='round'/%3E%3C/svg%3E"
        />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <a class="skip" href="#main">Skip to the page</a>
        <header class="bar">
          <a class="brand" href="/"
            ><span class="mark" aria-hidden="true">T</span>Tenure <span class="sub">demo</span></a
          >
          <nav aria-label="Pages">
            <a href="/" ${current(page === "home")}>${page ? (person ? "Devices" : "Sign in") : "Start"}</a>
            <a href="/race" ${current(page === "race")}>The race</a>
          </nav>
        </header>
        <main id="main" tabindex="-1">
          ${notice !== undefined && html`<p class="notice" role="status">${notice}</p>`} ${main}
        </main>
        <footer>Sessions are kept in ${place}.</footer>
      </body>
    </html> `;
}

function current(is: boolean): Html | false {
  return is && html` aria-current="page"`;
}
