import framework from "express-session-1.18";
import { vi } from "vitest";
import { testVersion } from "./versions.ts";

vi.mock("express-session", () => import("express-session-1.18"));

testVersion("1.18", framework);
