import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { references } from "./api.ts";
import { BENCHMARK, charts, resultsOfBenchmark } from "./charts.ts";
import { Links, relative, sourcePage } from "./links.ts";
import { markdown } from "./markdown.ts";
import { root, sections } from "./pages.ts";

/** The part of Eleventy's configuration that this site uses. */
interface Eleventy {
  addTemplate(path: string, content: string, data: Readonly<Record<string, unknown>>): void;
  addGlobalData(name: string, value: unknown): void;
  addFilter(name: string, filter: (...values: never[]) => unknown): void;
  addPassthroughCopy(path: string): void;
  on(event: "eleventy.after", listener: (event: { directories: { output: string } }) => void): void;
  setLibrary(extension: "md", library: unknown): void;
}

/**
 * Adds a page for each Markdown page of the repository, for each entry of a package, and for each file that a
 * page links to.
 */
export default async function configure(eleventy: Eleventy): Promise<object> {
  const api = (await references()).map(({ specifier, markdown: text }) => ({
    source: `api/${specifier}.md`,
    path: `api/${specifier.replace("@tenure/", "").replace("/", "-")}.html`,
    title: specifier,
    text,
  }));
  const written = sections();
  const contents = [...written, { title: "Reference", pages: api }];
  const ordered = contents.flatMap(({ pages }) => pages);

  const links = new Links(new Map(ordered.map(({ source, path }) => [source, path])));
  const library = await markdown(links.resolve);
  const add = (source: string, title: string, text: string): void => {
    library.parse(text, { source }); // collects the links
    const data = { layout: "page.njk", permalink: links.pathOf(source), source, title };
    eleventy.addTemplate(`${source.replaceAll(/[/@]/gu, "-")}.md`, text, data);
  };
  for (const { pages } of written) {
    for (const { source, title } of pages) {
      const text = readFileSync(join(root, source), "utf8");
      add(source, title, source === BENCHMARK ? text + charts(resultsOfBenchmark()) : text);
    }
  }
  for (const { source, title, text } of api) add(source, title, text);
  for (const source of links.sources) add(source, source, sourcePage(source));

  eleventy.setLibrary("md", library);
  eleventy.addGlobalData("sections", contents);
  eleventy.addFilter("from", (to: string, url: string) => relative(url.slice(1), to));
  eleventy.addFilter("headings", (html: string) =>
    [...html.matchAll(/<h2 id="([^"]+)"[^>]*>(.*?)<\/h2>/gsu)].map(([, id, title = ""]) => ({
      id,
      title: title.replaceAll(/<[^>]+>/gu, ""),
    })),
  );
  eleventy.addFilter("neighbours", (source: string) => {
    const index = ordered.findIndex((page) => page.source === source);
    return index === -1 ? {} : { previous: ordered[index - 1], next: ordered[index + 1] };
  });
  eleventy.addPassthroughCopy("theme/style.css");
  eleventy.on("eleventy.after", ({ directories: { output } }) => {
    for (const image of links.images) cpSync(join(root, image), join(output, image));
    if (links.broken.size > 0) throw new Error([...links.broken].join("\n"));
  });
  return { dir: { input: "theme" }, markdownTemplateEngine: false };
}
