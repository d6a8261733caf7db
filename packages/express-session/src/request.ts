import type { Store } from "express-session";

/** Express's request, by way of express-session's own types: this package needs no other. */
export type Request = Parameters<Store["regenerate"]>[0];
