import type { Requirement, Standard } from "./requirement.ts";
import type { Evidence } from "./tests.ts";

export function pageOf(standard: Standard, evidence: readonly Evidence[]): string {
  const sections = standard.sections.map(({ title, requirements }) =>
    [`## ${title}`, ...requirements.map((one) => part(standard, one, evidence))].join("\n\n"),
  );
  return `${[`# ${standard.title}`, standard.introduction, ABOUT, ...sections].join("\n\n")}\n`;
}

const ABOUT =
  "`pnpm evidence` generates this page from `test/evidence` and from the requirement ids in test names, and a test checks that it is up to date. Sentences in `packages/conformance` are tested on every store.";

function part({ mark }: Standard, requirement: Requirement, evidence: readonly Evidence[]): string {
  const { id, asks, met, application } = requirement;
  const own = evidence.filter(({ ids }) => ids.includes(`${mark} ${id}`));
  const lines = [`### ${id}`, "", `*${asks}*`];
  if (met !== undefined) lines.push("", met);
  if (application !== undefined) lines.push("", `**The application:** ${application}`);
  if (own.length > 0) lines.push("", ...tests(own));
  return lines.join("\n");
}

function tests(own: readonly Evidence[]): string[] {
  const byPath = Map.groupBy(own, ({ path }) => path);
  return [...byPath].map(([path, all]) => {
    const titles = [...new Set(all.map(({ title }) => title))].map((text) => `“${escaped(text)}”`);
    return `- [${path}](../${path}): ${titles.join(", ")}`;
  });
}

function escaped(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>|]/gu, String.raw`\$&`);
}
