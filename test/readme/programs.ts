import { readFileSync } from "node:fs";

/** What a reader would run: a code block, and those after it that go on where it ended. */
export interface Program {
  /** The path of the README, from the root. */
  readonly readme: string;
  /** Where its first block begins, as editors count. */
  readonly line: number;
  /** On the lines that it has in the README, so that a compiler's message names the line to mend. */
  readonly text: string;
}

/**
 * The TypeScript and JavaScript of a README. A block that imports something is a program of its own; one that imports nothing
 * goes on where the block before it ended. Blocks marked `js mongosh` are commands of a shell, as `sh` is.
 */
export function programsOf(root: string, readme: string): Program[] {
  const programs: { line: number; lines: string[] }[] = [];
  for (const { line, code } of blocksOf(readFileSync(`${root}/${readme}`, "utf8"))) {
    let program = programs.at(-1);
    if (!program || code.some((text) => /^import\b/u.test(text))) {
      program = { line, lines: [] };
      programs.push(program);
    }
    while (program.lines.length < line - 1) program.lines.push("");
    program.lines.push(...code);
  }
  return programs.map(({ line, lines }) => ({ readme, line, text: `${lines.join("\n")}\n` }));
}

interface Block {
  /** Of its first line of code. */
  readonly line: number;
  readonly code: readonly string[];
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; line: number; code: string[] } | undefined;
  for (const [index, text] of markdown.split("\n").entries()) {
    const [, fence, language] = /^\s*(```+|~~~+)\s*(.*?)\s*$/u.exec(text) ?? [];
    if (!open) {
      if (fence !== undefined) open = { fence, line: index + 2, code: [] };
      if (open && !/^(?:[cm]?[jt]sx?|typescript|javascript)$/iu.test(language ?? "")) open.line = 0;
    } else if (fence?.startsWith(open.fence) && language === "") {
      if (open.line > 0) blocks.push({ line: open.line, code: open.code });
      open = undefined;
    } else open.code.push(text);
  }
  if (open) throw new Error(`A code block is never closed: ${open.code[0]}`);
  return blocks;
}
