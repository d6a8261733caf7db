import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./pages.ts";

export const BENCHMARK = "test/bench/README.md";

/** The part of the output of `pnpm bench BACKEND --json FILE` that the charts use. */
export interface Result {
  readonly backend: string;
  readonly server: string;
  readonly node: string;
  readonly measuredAt: string;
  readonly cells: readonly {
    readonly cell: string;
    readonly entries: readonly { readonly name: string; readonly perSecond: number }[];
  }[];
}

export function resultsOfBenchmark(): Result[] {
  const paths = globSync("test/bench/results/*.json", { cwd: root }).toSorted();
  return paths.map((path) => JSON.parse(readFileSync(join(root, path), "utf8")) as Result);
}

/** Returns bar charts of requests per second, as Markdown with HTML. Screen readers see tables. */
export function charts(results: readonly Result[]): string {
  return results.map(chart).join("");
}

function chart({ backend, server, node, measuredAt, cells }: Result): string {
  const rows = cells.map(({ cell, entries }) => {
    const most = Math.max(...entries.map(({ perSecond }) => perSecond));
    const bars = entries.map(({ name, perSecond }, index) => {
      const load =
        index === 0 ? `<th scope="rowgroup" rowspan="${entries.length}">${escaped(cell)}</th>` : "";
      const width = ((perSecond / most) * 100).toFixed(1);
      return `<tr>${load}<td>${escaped(name)}</td><td class="bar"><span style="width: ${width}%"></span></td><td>${figure(perSecond)}</td></tr>\n`;
    });
    return `<tbody>\n${bars.join("")}</tbody>\n`;
  });
  const about = `${server}, Node ${node}, ${measuredAt.slice(0, 10)}`;
  return `\n## Requests per second: ${backend}\n\n${about}. Longer is faster. Each load has its own scale.\n\n<div class="scroll" tabindex="0"><table class="bars">\n${rows.join("")}</table></div>\n`;
}

function figure(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(2) : Math.round(perSecond).toLocaleString("en");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
