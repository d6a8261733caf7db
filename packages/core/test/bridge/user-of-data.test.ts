import { expect, test } from "vitest";
import { userOfData } from "../../src/bridge/user-of-data.ts";

test.for([
  { data: {}, user: undefined },
  { data: { userId: 0 }, user: 0 },
  { data: { userId: "" }, user: "" },
  { data: { userId: null, passport: { user: "p" } }, user: "p" },
  { data: { userId: "u", passport: { user: "p" } }, user: "u" },
  { data: { passport: null }, user: undefined },
  { data: { passport: {} }, user: undefined },
  { data: { passport: "text" }, user: undefined },
])("the user of $data is $user", ({ data, user }) => {
  expect(userOfData(data)).toBe(user);
});
