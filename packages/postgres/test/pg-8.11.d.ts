/** The oldest supported release of the driver, under an alias for which no types are published. */
declare module "pg-8.11" {
  export { Pool } from "pg";
}
