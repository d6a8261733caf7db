import { resolve } from "node:path";
import ts from "typescript-5";

/**
 * The output of this process: the errors of each project, by the project's folder. The process type-checks
 * the projects whose folders are its arguments, with TypeScript 5. Unlike `tsc`, it skips the files of other
 * packages: their errors are not Tenure's, and checking them takes four times as long.
 */
export type Checked = Readonly<Record<string, readonly string[]>>;

/**
 * Parsed files of other packages, which the projects share. The result of parsing also depends on the options
 * in the key.
 */
const parsed = new Map<string, ts.SourceFile | undefined>();

const checked: Checked = Object.fromEntries(process.argv.slice(2).map((folder) => [folder, check(folder)]));
console.log(JSON.stringify(checked));

function check(folder: string): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(resolve(folder, "tsconfig.json"), undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
    },
  });
  if (!config) throw new Error(`${folder} has no tsconfig.json.`);
  const program = ts.createProgram({
    rootNames: config.fileNames,
    options: config.options,
    host: sharingHost(config.options),
  });
  const diagnostics = [
    ...config.errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
  ];
  for (const file of program.getSourceFiles()) {
    if (isThirdParty(file.fileName)) continue;
    diagnostics.push(...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file));
  }
  const host = { getCurrentDirectory: () => folder, getCanonicalFileName: String, getNewLine: () => "\n" };
  return diagnostics.map((diagnostic) => ts.formatDiagnostic(diagnostic, host).trimEnd());
}

function sharingHost(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  return {
    ...host,
    getSourceFile(path, given, ...rest) {
      if (!isThirdParty(path)) return host.getSourceFile(path, given, ...rest);
      const { languageVersion, impliedNodeFormat } =
        typeof given === "object" ? given : { languageVersion: given };
      const key = `${path} ${languageVersion} ${impliedNodeFormat}`;
      if (!parsed.has(key)) parsed.set(key, host.getSourceFile(path, given, ...rest));
      return parsed.get(key);
    },
  };
}

function isThirdParty(path: string): boolean {
  return /\/node_modules\/(?!.*@tenure)/u.test(path);
}
