import { bundle } from "./bundle.ts";
import { commonjs, esm } from "./javascript.ts";
import { jest } from "./jest.ts";
import { nest, nest11 } from "./nest.ts";
import type { Project } from "./project.ts";
import { typescript } from "./typescript.ts";

/** Every kind of project, by its name for `--project`. */
export const projects: Readonly<Record<string, Project>> = {
  typescript,
  esm,
  commonjs,
  jest,
  bundle,
  nest,
  "nest-11": nest11,
};
