export interface Manager {
  /** Its name for `--manager`. */
  readonly name: string;
  /** Its package on the registry, for the major version of Node on which it runs. */
  readonly specifier: (node: string) => string;
  readonly command: string;
  readonly add: readonly string[];
  /** The command that runs a script in a project. */
  readonly node: readonly string[];
  /** Its name for `nest new --package-manager`. */
  readonly nest: string;
  /** Files that a new project needs before the first install. */
  readonly files: Readonly<Record<string, string>>;
  /**
   * Returns why it cannot run a project on a Node version, if the cause is outside of Tenure. Absent: it can
   * run all projects.
   */
  readonly cannot?: (project: string, node: string) => string | undefined;
  /** The Node versions on which the matrix runs it. Absent: all. */
  readonly nodes?: readonly string[];
}

const npm: Manager = {
  name: "npm",
  // npm 10 comes with Node 22, and 11 with Node 24. npm 12 runs only approved install scripts.
  specifier: (node) => `npm@${{ 22: 10, 24: 11 }[node] ?? 12}`,
  command: "npm",
  add: ["install", "--no-audit", "--no-fund"],
  node: ["node"],
  nest: "npm",
  files: {},
  cannot: (project, node) =>
    project === "nest" && node === "22"
      ? "npm 10 cannot install the template, with or without Tenure (npm/cli#9787): see npm-11"
      : undefined,
};

/** For users of Node 22 who need a newer npm than it includes. */
const npm11: Manager = {
  name: "npm-11",
  specifier: () => "npm@11",
  command: npm.command,
  add: npm.add,
  node: npm.node,
  nest: npm.nest,
  files: npm.files,
  nodes: ["22"],
};

const pnpm: Manager = {
  name: "pnpm",
  specifier: () => "pnpm@12",
  command: "pnpm",
  add: ["add"],
  node: ["node"],
  nest: "pnpm",
  // Install scripts that are not approved are skipped and do not fail the installation. No package here needs
  // one.
  files: { "pnpm-workspace.yaml": "strictDepBuilds: false\n" },
};

const yarn: Manager = {
  name: "yarn",
  specifier: () => "yarn@1",
  command: "yarn",
  // Two concurrent installations would corrupt the shared cache.
  add: ["add", "--no-progress", "--mutex", "network"],
  node: ["node"],
  nest: "yarn",
  files: {},
};

const berry: Manager = {
  ...yarn,
  name: "yarn-berry",
  specifier: () => "@yarnpkg/cli-dist@4",
  add: ["add"],
  // An empty lockfile marks this folder as a separate project, not a part of one in a parent folder.
  files: { "yarn.lock": "", ".yarnrc.yml": "nodeLinker: node-modules\nenableTelemetry: false\n" },
};

const pnp: Manager = {
  ...berry,
  name: "yarn-pnp",
  // There is no node_modules. Yarn makes Node find the packages.
  node: ["yarn", "node"],
  files: {
    ...berry.files,
    // The extensions add dependencies that other packages import but do not declare, which works with
    // node_modules. Tenure's packages have no extension.
    ".yarnrc.yml": `nodeLinker: pnp
enableTelemetry: false
packageExtensions:
  "ts-jest@*":
    dependencies: { jest-util: "*" }
  "vite-tsconfig-paths@*":
    dependencies: { vite: "*" }
`,
  },
  cannot: (project, node) => {
    if (project === "typescript") return "TypeScript 7 does not resolve packages through Plug'n'Play";
    if (project === "nest" && node === "22")
      return "nest build fails with Plug'n'Play on Node 22, with or without Tenure (ERR_VM_MODULE_LINK_FAILURE)";
    return undefined;
  },
};

export const managers: readonly Manager[] = [npm, npm11, pnpm, yarn, berry, pnp];
