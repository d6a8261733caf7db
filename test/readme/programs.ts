import { readFileSync } from "node:fs";

/** A program that a reader would run: a code block, and the blocks after it that continue it. */
export interface Program {
  /** The path of the README, relative to the root. */
  readonly readme: string;
  /** The line of its first block, counted from 1. */
  readonly line: number;
  /** The code, on the same lines as in the README, so that a compiler's message names the line to fix. */
  readonly text: string;
}

/**
 * Returns the TypeScript and JavaScript programs of a README. A block that imports something begins a
 * program, and one that imports nothing continues the program before it. Blocks marked `js mongosh` are not
 * programs: like `sh` blocks, they are commands for a shell.
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

/** Returns the paragraph directly below a program. Empty: there is none. */
export function paragraphBelow(root: string, { readme, text }: Program): string {
  const lines = readFileSync(`${root}/${readme}`, "utf8").split("\n");
  const below = lines.slice(text.split("\n").length - 1).join("\n");
  return /^```\n\n(.+?)\n\n/su.exec(below)?.[1] ?? "";
}

interface Block {
  /** The line of its first line of code. */
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
