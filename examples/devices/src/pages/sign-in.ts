import { html, type Html } from "../html.ts";
import { people } from "../people.ts";
import { layout } from "./layout.ts";

export interface SignInPage {
  readonly notice: string | undefined;
  readonly place: string;
}

export function signInPage({ notice, place }: SignInPage): Html {
  return layout(
    { title: "Sign in", page: "home", person: undefined, notice, place },
    html`<h1>Who are you?</h1>
      <p class="lead">
        Pick a person. There is no password: this demo is about how sessions end, not how they begin.
      </p>
      <form method="post" action="/sign-in">
        <ul class="people">
          ${people.map(
            ({ id, name }) => html`
              <li>
                <button class="person" name="person" value="${id}">
                  <span class="avatar ${id}" aria-hidden="true">${name[0]}</span>
                  <span class="name"><span class="unseen">Sign in as </span>${name}</span>
                  <span class="go" aria-hidden="true">→</span>
                </button>
              </li>
            `,
          )}
        </ul>
      </form>
      <p class="hint">
        Sign in as the same person in a second browser or a private window too: then there is something to log
        out.
      </p>`,
  );
}
