import { html, type Html } from "../html.ts";
import type { Person } from "../people.ts";
import type { RaceResult } from "../race/run-race.ts";
import { layout } from "./layout.ts";

export interface RacePage {
  readonly person: Person | undefined;
  readonly place: string;
  /** How long the slow request in the section "by hand" takes, milliseconds. */
  readonly slow: number;
  readonly results?: readonly RaceResult[];
}

export function racePage({ person, place, slow, results }: RacePage): Html {
  return layout(
    { title: "The race", page: "race", person, place },
    html`<h1>The race</h1>
      <p class="lead">
        A phone was lost. Its owner logs out everywhere from a laptop, while the phone still has a slow
        request running. When that request ends, it saves the session that it loaded before. Is the phone
        signed in again?
      </p>
      <form method="post" action="/race">
        <button class="primary">${results ? "Run it again" : "Run the race"}</button>
      </form>
      <p class="small">
        Two copies of one application run at the same time and get the same requests over HTTP. Only their
        session stores differ.
      </p>
      ${
        results &&
        html`<ul class="verdicts" aria-label="Who came back">
            ${results.map(verdict)}
          </ul>
          <div class="lanes">${results.map((result) => lane(result, place))}</div>`
      }
      ${byHand(person, slow)}`,
  );
}

function verdict({ contestant, cameBack }: RaceResult): Html {
  return html`<li class="${cameBack ? "bad" : "good"}">
    <strong>${contestant}</strong>
    <span
      ><span aria-hidden="true">${cameBack ? "✗" : "✓"}</span>
      ${cameBack ? "The session came back" : "Logged out for good"}</span
    >
  </li>`;
}

function lane({ contestant, steps, cameBack }: RaceResult, place: string): Html {
  const id = contestant.toLowerCase();
  return html`<section class="lane ${cameBack ? "bad" : "good"}" aria-labelledby="${id}">
    <h2 id="${id}">${contestant}, step by step</h2>
    <p class="small">${contestant === "Tenure" ? html`in ${place}` : "express-session’s own"}</p>
    <ol>
      ${steps.map(
        ({ at, who, what }) => html`
          <li>
            <span class="at">${at} ms</span> <span><strong>${WHO[who]}</strong> ${what}</span>
          </li>
        `,
      )}
    </ol>
  </section>`;
}

const WHO = { phone: "The phone", laptop: "The laptop" } as const;

function byHand(person: Person | undefined, slow: number): Html {
  if (!person) {
    return html`<section class="hand" aria-labelledby="hand">
      <h2 id="hand">Run it by hand</h2>
      <p><a href="/">Sign in</a> as the same person in two browsers, and come back to this page.</p>
    </section>`;
  }
  return html`<section class="hand" aria-labelledby="hand">
    <h2 id="hand">Run it by hand</h2>
    <ol class="steps">
      <li>Sign in as ${person.name} in a second browser.</li>
      <li>Here, start a request that takes ${slow / 1000} seconds and then saves a note in your session.</li>
      <li>While it runs, log out everywhere in the other browser.</li>
    </ol>
    <form method="post" action="/slow-note"><button class="quiet">Save a note, slowly</button></form>
  </section>`;
}
