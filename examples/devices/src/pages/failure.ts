import { html, type Html } from "../html.ts";
import { layout } from "./layout.ts";

export interface FailurePage {
  readonly title: string;
  readonly text: string;
  readonly place: string;
}

export function failurePage({ title, text, place }: FailurePage): Html {
  return layout(
    { title, page: undefined, person: undefined, place },
    html`<h1>${title}</h1>
      <p class="lead">${text}</p>
      <p><a href="/">Back to the start</a></p>`,
  );
}
