import { html, type Html } from "../html.ts";

/**
 * Returns an instant in words, "3 minutes ago", with the exact time in its title. Both parameters are epoch
 * milliseconds.
 */
export function moment(at: number, now: number): Html {
  const exact = new Date(at).toISOString();
  return html`<time datetime="${exact}" title="${exact}">${ago(now - at)}</time>`;
}

const inWords = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function ago(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  // The store's clock may be a little ahead of this machine's.
  if (seconds < 5) return "just now";
  if (seconds < 60) return inWords.format(-seconds, "second");
  if (seconds < 3600) return inWords.format(-Math.round(seconds / 60), "minute");
  return inWords.format(-Math.round(seconds / 3600), "hour");
}
