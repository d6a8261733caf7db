/** The oldest supported release of the driver, under an alias that no types are published for. */
declare module "pg-8.11" {
  export { Pool } from "pg";
}
