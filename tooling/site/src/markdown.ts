import { fromHighlighter } from "@shikijs/markdown-it/core";
import MarkdownIt from "markdown-it";
import { bundledLanguages, createHighlighter } from "shiki";

type Markdown = InstanceType<typeof MarkdownIt>;

/** Translates a link in a file into a link on the site. */
export type Resolve = (source: string, link: string) => string;

/**
 * Renders the repository's Markdown with the anchors that GitHub and npm use, and with code in two colour
 * schemes. Each rendering's environment names the file as `source`.
 */
export async function markdown(resolve: Resolve): Promise<Markdown> {
  const md = new MarkdownIt({ html: true });
  const themes = { light: "github-light-high-contrast", dark: "github-dark-high-contrast" };
  const languages = ["ts", "js", "sh", "sql", "json", "yaml", "css", "svg"] as const;
  const highlighter = await createHighlighter({
    themes: Object.values(themes),
    langs: languages.filter((language) => language in bundledLanguages),
  });
  md.use(
    fromHighlighter(highlighter, { themes, defaultColor: "light-dark()", fallbackLanguage: "text" } as never),
  );
  md.core.ruler.push("anchors", ({ tokens }) => {
    const seen = new Map<string, number>();
    for (const [index, token] of tokens.entries()) {
      if (token.type !== "heading_open") continue;
      const slug = slugOf(tokens[index + 1]?.content ?? "");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      token.attrSet("id", count === 0 ? slug : `${slug}-${count}`);
    }
  });
  md.core.ruler.push("links", ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const name = token.type === "link_open" ? "href" : token.type === "image" ? "src" : null;
      if (name) token.attrSet(name, resolve((env as { source: string }).source, String(token.attrGet(name))));
    }
  });
  // A table that is wider than the screen scrolls on its own.
  md.renderer.rules["table_open"] = () => '<div class="scroll" tabindex="0"><table>';
  md.renderer.rules["table_close"] = () => "</table></div>";
  return md;
}

/** Returns the anchor that GitHub and npm give a heading. */
function slugOf(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/gu, "$1").replaceAll(/\\(.)/gu, "$1");
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}
