declare module "express-session-1.17.0" {
  import session from "express-session";
  export default session;
}
declare module "express-session-1.17" {
  import session from "express-session";
  export default session;
}
declare module "express-session-1.18" {
  import session from "express-session";
  export default session;
}
declare module "express4" {
  import express from "express";
  export default express;
}
