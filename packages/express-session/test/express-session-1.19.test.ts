import { createRequire } from "node:module";
import type session from "express-session";
import { testVersion } from "./versions.ts";

testVersion("1.19", createRequire(import.meta.url)("express-session") as typeof session);
