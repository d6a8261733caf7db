import type { Packed } from "../pack.ts";

export interface Project {
  readonly title: string;
  /** How it begins: with a manifest, or with the template of this version of Nest's CLI. */
  readonly start:
    | { readonly type: "commonjs" | "module"; readonly scripts: Readonly<Record<string, string>> }
    | { readonly nest: string };
  /**
   * The packages that one command installs: `@tenure/…` from the tarballs, `name@range` unchanged, and all
   * others in the workspace's version.
   */
  readonly dependencies: (packed: readonly Packed[]) => readonly string[];
  readonly files: (given: Given) => Readonly<Record<string, string>>;
  /** The scripts that build and test it, in order. */
  readonly scripts: readonly string[];
  /**
   * How its application is started for a visit: by a script, or as a single file in an empty folder. Absent:
   * it is not visited, because its own tests log in.
   */
  readonly application?: { readonly script: string } | { readonly file: string };
}

interface Given {
  readonly packed: readonly Packed[];
  readonly read: (path: string) => string;
}
