/** Markup that is safe to send, because all values in it are escaped. Only {@link html} makes it. */
export class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }
}

export type Renderable = Html | string | number | false | undefined | readonly Renderable[];

/**
 * A template of markup. Values are escaped for text and for quoted attributes; `false` and `undefined` are
 * left out.
 */
export function html(parts: TemplateStringsArray, ...values: readonly Renderable[]): Html {
  return new Html(parts.reduce((markup, part, index) => markup + render(values[index - 1]) + part));
}

function render(value: Renderable): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "object") return value.map(render).join("");
  return String(value).replaceAll(/[&<>"']/gu, (character) => `&#${character.charCodeAt(0)};`);
}
