declare module "koa-session-6" {
  export { default } from "koa-session";
}
