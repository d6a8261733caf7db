// Other versions of frameworks, under alias names that have no types.

declare module "express4" {
  export { default } from "express";
}

declare module "express-session-1.17" {
  export { default } from "express-session";
}

declare module "koa-session-6" {
  export { default } from "koa-session";
}
