import { readFileSync } from "node:fs";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The restricted user of the README, with the rules for a Cluster. Tests run as this user. */
export const README_USER = { username: "tenure", password: "secret" } as const;

export function readmeRules(): string[] {
  const lines = [...readme.matchAll(/^(?:ACL SETUSER tenure|# cluster:) (.+)$/gm)].map(([, rules]) => rules!);
  if (lines.length !== 2) throw new Error("Expected two ACL lines in the README.");
  return lines.join(" ").split(" ");
}
