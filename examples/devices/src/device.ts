export interface Device {
  readonly name: string;
  readonly kind: "phone" | "tablet" | "computer";
}

/**
 * Returns a name for a browser from its User-Agent header, such as "Chrome on Android", which is enough for
 * users to distinguish their own devices.
 */
export function deviceOf(userAgent: string | undefined): Device {
  const browser = firstMatch(BROWSERS, userAgent);
  const system = firstMatch(SYSTEMS, userAgent);
  const name = [browser ?? "A browser", ...(system ? [system] : [])].join(" on ");
  return { name, kind: kindOf(userAgent ?? "", system) };
}

type Names = readonly (readonly [RegExp, string])[];

/** In this order, because most browsers also claim to be those below them. */
const BROWSERS: Names = [
  [/\bEdgA?(?:iOS)?\//u, "Edge"],
  [/\bOPR\/|\bOPiOS\//u, "Opera"],
  [/\bSamsungBrowser\//u, "Samsung Internet"],
  [/\bFirefox\/|\bFxiOS\//u, "Firefox"],
  [/\bHeadlessChrome\/|\bChrome\/|\bCriOS\//u, "Chrome"],
  [/\bSafari\//u, "Safari"],
  [/^curl\//u, "curl"],
];

const SYSTEMS: Names = [
  [/\biPhone\b/u, "iPhone"],
  [/\biPad\b/u, "iPad"],
  [/\bAndroid\b/u, "Android"],
  [/\bCrOS\b/u, "ChromeOS"],
  [/\bWindows\b/u, "Windows"],
  [/\bMac OS X\b|\bMacintosh\b/u, "Mac"],
  [/\bLinux\b/u, "Linux"],
];

function firstMatch(names: Names, userAgent = ""): string | undefined {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1];
}

function kindOf(userAgent: string, system: string | undefined): Device["kind"] {
  if (system === "iPhone") return "phone";
  if (system === "iPad") return "tablet";
  if (system === "Android") return /\bMobile\b/u.test(userAgent) ? "phone" : "tablet";
  return "computer";
}
