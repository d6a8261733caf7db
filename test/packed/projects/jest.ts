import { expressApplication, expressDependencies } from "./express.ts";
import type { Project } from "./project.ts";

/** Tests of `application.ts` for Jest. */
export const jestTests = `import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { memoryStore, StoreError } from "@tenure/core";
import { application } from "./application";

let server: Server;
beforeAll((done) => {
  server = application(memoryStore()).listen(0, "127.0.0.1", done);
});
afterAll((done) => {
  server.close(done);
});

async function ask(method: string, path: string, cookie = "") {
  const { port } = server.address() as AddressInfo;
  const response = await fetch(\`http://127.0.0.1:\${port}\${path}\`, { method, headers: { cookie } });
  const [set = ""] = response.headers.getSetCookie();
  return { status: response.status, text: await response.text(), cookie: set.split(";")[0] };
}

test("a user logs in on two devices, logs out everywhere, and both are refused", async () => {
  expect((await ask("GET", "/me")).status).toBe(401);
  const phone = await ask("POST", "/login");
  const laptop = await ask("POST", "/login");
  expect(await ask("GET", "/me", phone.cookie)).toMatchObject({ status: 200, text: "ada" });
  expect(await ask("GET", "/me", laptop.cookie)).toMatchObject({ status: 200, text: "ada" });
  expect(await ask("POST", "/everywhere", laptop.cookie)).toMatchObject({ status: 200, text: "2" });
  expect((await ask("GET", "/me", phone.cookie)).status).toBe(401);
  expect((await ask("GET", "/me", laptop.cookie)).status).toBe(401);
});

test("there is one StoreError, however it is imported", async () => {
  expect(new StoreError("read", "the reason")).toBeInstanceOf((await import("@tenure/core")).StoreError);
});
`;

export const jest: Project = {
  title: "Jest with ts-jest, CommonJS",
  start: { type: "commonjs", scripts: { test: "jest --ci" } },
  dependencies: () => [...expressDependencies, "typescript@5", "jest", "ts-jest", "@types/jest"],
  files: () => ({
    "tsconfig.json": JSON.stringify({
      compilerOptions: {
        target: "es2022",
        module: "commonjs",
        esModuleInterop: true,
        strict: true,
        types: ["node", "jest"],
      },
    }),
    "jest.config.js": `module.exports = { preset: "ts-jest", watchman: false };\n`,
    "application.ts": expressApplication,
    "application.test.ts": jestTests,
  }),
  scripts: ["test"],
};
