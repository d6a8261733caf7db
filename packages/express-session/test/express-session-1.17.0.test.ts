import framework from "express-session-1.17.0";
import { vi } from "vitest";
import { testVersion } from "./versions.ts";

vi.mock("express-session", () => import("express-session-1.17.0"));

testVersion("1.17.0", framework);
