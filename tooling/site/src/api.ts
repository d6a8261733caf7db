import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Application, type ProjectReflection, type TypeDocOptions } from "typedoc";
import { root } from "./pages.ts";

/** An entry of a package that applications import, and its reference as Markdown. */
export interface Reference {
  /** `@tenure/core/store` */
  readonly specifier: string;
  readonly markdown: string;
}

/**
 * Returns the reference of every entry of every package, generated from the comments in the sources.
 *
 * @throws Error if an export has no comment, or a comment has a broken link
 */
export async function references(): Promise<Reference[]> {
  const entries = entriesOfPackages();
  const folder = mkdtempSync(join(tmpdir(), "tenure-site-"));
  try {
    // TypeDoc's types do not include the options of its plugins.
    const plugin = {
      outputFileStrategy: "modules",
      hidePageHeader: true,
      hideBreadcrumbs: true,
      hideGroupHeadings: true,
      useHTMLAnchors: true, // the plugin numbers equal headings differently than markdown.ts
      useCodeBlocks: true,
      expandParameters: true,
      parametersFormat: "table",
      interfacePropertiesFormat: "table",
      classPropertiesFormat: "table",
      typeDeclarationFormat: "table",
      propertyMembersFormat: "table",
    };
    const options = { ...typedocOptions(entries), ...plugin };
    const application = await Application.bootstrapWithPlugins(options);
    const project = await application.convert();
    if (!project) throw new Error("TypeDoc could not convert the sources. See the messages above.");
    nameModules(project, entries);
    application.validate(project);
    for (const message of undocumented(project)) application.logger.error(message);
    await application.generateOutputs(project);
    if (application.logger.hasErrors() || application.logger.hasWarnings()) {
      throw new Error("The reference is incomplete. See the messages above.");
    }
    return [...entries.keys()].map((specifier) => ({
      specifier,
      markdown: readFileSync(join(folder, `${specifier}.md`), "utf8"),
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }

  function typedocOptions(sources: ReadonlyMap<string, string>): TypeDocOptions {
    return {
      plugin: ["typedoc-plugin-markdown"],
      logLevel: "Warn",
      entryPoints: [...sources.values()],
      tsconfig: join(import.meta.dirname, "../tsconfig.api.json"),
      outputs: [{ name: "markdown", path: folder }],
      skipErrorChecking: true, // another command checks types
      readme: "none",
      disableSources: true,
      excludeExternals: true,
      sort: ["alphabetical"],
      validation: { notExported: true, invalidLink: true },
      externalSymbolLinkMappings: { "@types/node": { "*": "#" } },
    };
  }
}

function entriesOfPackages(): Map<string, string> {
  const entries = new Map<string, string>();
  for (const manifest of globSync("packages/*/package.json", { cwd: root }).toSorted()) {
    const { name: packageName, exports } = JSON.parse(readFileSync(join(root, manifest), "utf8")) as {
      name: string;
      exports: Record<string, Record<string, string>>;
    };
    for (const [path, { "@tenure/source": source = "" }] of Object.entries(exports)) {
      entries.set(join(packageName, path), join(root, manifest, "..", source));
    }
  }
  return entries;
}

/** Returns the exports that have no comment. A function's comment belongs to its signature. */
function undocumented(project: ProjectReflection): string[] {
  const exports = (project.children ?? []).flatMap((module) => module.children ?? []);
  return exports
    .filter(({ comment, signatures = [] }) => !comment && !signatures.some((signature) => signature.comment))
    .filter((exported) => !exported.isReference())
    .map((exported) => `${exported.getFriendlyFullName()} has no comment.`);
}

/** Names each module by its import specifier. TypeDoc names it by its folder. */
function nameModules(project: ProjectReflection, entries: ReadonlyMap<string, string>): void {
  const specifiers = new Map([...entries].map(([specifier, source]) => [dirname(source), specifier]));
  for (const module of project.children ?? []) {
    module.name = specifiers.get(join(root, "packages", module.name)) ?? module.name;
  }
}
