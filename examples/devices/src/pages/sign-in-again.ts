import { html, type Html } from "../html.ts";
import type { Person } from "../people.ts";
import { layout } from "./layout.ts";

export interface SignInAgainPage {
  readonly person: Person;
  /** The form's target: the route of the requested logout, which also logs the user in. */
  readonly action: string;
  /** The device to log out. `null`: all others. */
  readonly id: string | null;
  readonly place: string;
}

/**
 * Returns a page that asks the user to sign in again before logging out other devices. A real one would ask
 * for the password.
 */
export function signInAgainPage({ person, action, id, place }: SignInAgainPage): Html {
  return layout(
    { title: "Sign in again", page: "home", person, place },
    html`<h1>Is it still you?</h1>
      <p class="lead">
        You signed in some time ago. To log out other devices, sign in again, so that a stolen session can’t
        lock you out.
      </p>
      <form method="post" action="${action}">
        ${id !== null && html`<input type="hidden" name="id" value="${id}" />`}
        <button class="primary" name="person" value="${person.id}">Sign in again as ${person.name}</button>
      </form>
      <p><a href="/">Back to your devices</a></p>`,
  );
}
