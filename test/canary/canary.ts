import { hash, randomBytes } from "node:crypto";
import { inspect } from "node:util";

/** A secret text that tests search for where it must not appear. */
export interface Canary {
  readonly name: string;
  /** The text in every encoding in which it could appear. */
  readonly forms: readonly string[];
}

/**
 * Creates a text for session data, with its forms in plain text, base64 (at each alignment) and hexadecimal.
 */
export function dataCanary(name: string): Canary & { readonly text: string } {
  const text = `canary-${name}-${randomBytes(12).toString("hex")}`;
  const shifted = [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]);
    // The first and last groups are cut off, because they also encode neighbouring bytes.
    return (["base64", "base64url"] as const).map((form) => bytes.toString(form).slice(4, -4));
  });
  return { name, text, forms: [text, Buffer.from(text).toString("hex"), ...shifted] };
}

/** Returns the canary of a token's secret. The token's id is not secret. */
export function secretCanary(name: string, token: string): Canary {
  const secret = token.split(".")[1] ?? token;
  const bytes = Buffer.from(secret, "base64url");
  return { name, forms: [secret, bytes.toString("base64"), bytes.toString("hex")] };
}

/**
 * Returns the canary of a token's plain digest. If digests were not keyed, an attacker who can write to the
 * database could create a session for a token.
 */
export function digestCanary(name: string, token: string): Canary {
  return {
    name,
    forms: (["base64url", "base64", "hex"] as const).map((form) => hash("sha256", token, form)),
  };
}

/** Returns the names of the canaries that a text contains in any form. */
export function canariesIn(text: string, canaries: readonly Canary[]): string[] {
  return canaries.filter(({ forms }) => forms.some((form) => text.includes(form))).map(({ name }) => name);
}

/**
 * Returns all that a debugger, logger or serializer could show of a value: hidden keys, getters, causes,
 * JSON.
 */
export function shown(value: unknown): string {
  const options = { depth: 12, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null };
  const texts = [inspect(value, options), String(value), jsonOf(value)];
  for (let error = value; error instanceof Error; error = error.cause) {
    texts.push(error.message, error.stack ?? "", jsonOf(error), inspect(error, options));
  }
  return texts.join("\n");
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "";
  }
}
