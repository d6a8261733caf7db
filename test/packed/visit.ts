import assert from "node:assert/strict";
import { type Visitor, visitor } from "@tenure/cookie-client";

/**
 * Logs in a user of the application at `origin` on two devices, and logs out everywhere on one of them. After
 * that, both devices and copies of their cookies must be refused.
 */
export async function visit(origin: string): Promise<void> {
  const [phone, laptop] = [visitor(origin), visitor(origin)];
  await expectRefused(phone, "before it logs in");
  await logIn(phone);
  await logIn(laptop);
  const copies = [phone.twin(), laptop.twin()];
  const { status, text } = await laptop.post("/everywhere");
  assert.ok(status < 300, `log out everywhere: ${status} ${text}`);
  assert.equal(text, "2", "the number of sessions that ended");
  for (const device of [phone, laptop, ...copies]) await expectRefused(device, "after it was logged out");
  await logIn(phone);
}

async function logIn(device: Visitor): Promise<void> {
  const login = await device.post("/login");
  assert.ok(login.status < 300, `login: ${login.status} ${login.text}`);
  const { status, text } = await device.get("/me");
  assert.deepEqual({ status, text }, { status: 200, text: "ada" }, "after it has logged in");
}

async function expectRefused(device: Visitor, when: string): Promise<void> {
  assert.equal((await device.get("/me")).status, 401, when);
}
