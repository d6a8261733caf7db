export {
  type Address,
  type Runner,
  type StoreUnderTest,
  type SuiteOptions,
  type TestOptions,
  testStore,
} from "./suite.ts";
