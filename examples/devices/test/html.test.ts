import { expect, test } from "vitest";
import { html } from "../src/html.ts";

test("escapes what comes from outside, in text and in attributes", () => {
  const hostile = `"><b>it's</b>&amp;`;
  const escaped = "&#34;&#62;&#60;b&#62;it&#39;s&#60;/b&#62;&#38;amp;";
  expect(html`<p title="${hostile}">${hostile}</p>`.markup).toBe(`<p title="${escaped}">${escaped}</p>`);
});

test("leaves markup that it made itself as it is, and lists joined", () => {
  const items = ["<", ">"].map((item) => html`<li>${item}</li>`);
  expect(html`${items}`.markup).toBe("<li>&#60;</li><li>&#62;</li>");
});

test("leaves out false and undefined, and keeps 0", () => {
  expect(html`${false}${undefined}${0}`.markup).toBe("0");
});
