import { readFileSync } from "node:fs";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The user that the README describes, with what it says to add for a Cluster: what it allows is what the tests may use. */
export const README_USER = { username: "tenure", password: "secret" } as const;

export function readmeRules(): string[] {
  const lines = [...readme.matchAll(/^(?:ACL SETUSER tenure|# cluster:) (.+)$/gm)].map(([, rules]) => rules!);
  if (lines.length !== 2) throw new Error("The README has lost its ACL lines.");
  return lines.join(" ").split(" ");
}
