import { expect, test } from "vitest";
import { html } from "../src/html.ts";

test("html escapes values in text and in attributes", () => {
  const hostile = `"><b>it's</b>&amp;`;
  const escaped = "&#34;&#62;&#60;b&#62;it&#39;s&#60;/b&#62;&#38;amp;";
  expect(html`<p title="${hostile}">${hostile}</p>`.markup).toBe(`<p title="${escaped}">${escaped}</p>`);
});

test("html does not escape nested templates, and joins lists", () => {
  const items = ["<", ">"].map((item) => html`<li>${item}</li>`);
  expect(html`${items}`.markup).toBe("<li>&#60;</li><li>&#62;</li>");
});

test("html omits false and undefined, and renders 0", () => {
  expect(html`${false}${undefined}${0}`.markup).toBe("0");
});
