import assert from "node:assert/strict";
import { type Visitor, visitor } from "@tenure/cookie-client";

/**
 * Logs a user of the application at `origin` in on two devices, and logs out everywhere on one. From then on,
 * both devices must be refused, and so must a copy of a cookie.
 */
export async function visit(origin: string): Promise<void> {
  const [phone, laptop] = [visitor(origin), visitor(origin)];
  await isRefused(phone, "before it logs in");
  await logsIn(phone);
  await logsIn(laptop);
  const thieves = [phone.twin(), laptop.twin()];
  const { status, text } = await laptop.post("/everywhere");
  assert.ok(status < 300, `log out everywhere: ${status} ${text}`);
  assert.equal(text, "2", "how many sessions ended");
  for (const device of [phone, laptop, ...thieves]) await isRefused(device, "after it was logged out");
  await logsIn(phone);
}

async function logsIn(device: Visitor): Promise<void> {
  const login = await device.post("/login");
  assert.ok(login.status < 300, `login: ${login.status} ${login.text}`);
  const { status, text } = await device.get("/me");
  assert.deepEqual({ status, text }, { status: 200, text: "ada" }, "once it has logged in");
}

async function isRefused(device: Visitor, when: string): Promise<void> {
  assert.equal((await device.get("/me")).status, 401, when);
}
