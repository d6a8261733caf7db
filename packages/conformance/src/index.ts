export type { Address, MixUp, StoreUnderTest } from "./store-under-test.ts";
export { type Runner, type SuiteOptions, type TestOptions, testStore } from "./suite.ts";
