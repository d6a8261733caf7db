export { type Demo, type DemoOptions, type Framework, startDemo } from "./demo.ts";
export { type OpenedStore, openStore } from "./stores/open-store.ts";
