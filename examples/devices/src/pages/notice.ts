const notices = {
  "choose-a-person": "Choose one of the three people.",
  ended: "Your session has ended: it was logged out from another device, or not used for too long.",
  "logged-out": "You are logged out on this device.",
  "logged-out-one": "That device is logged out.",
  "logged-out-others": "All other devices are logged out.",
  "logged-out-everywhere": "You are logged out everywhere, this device included.",
} as const;

export type NoticeName = keyof typeof notices;

/**
 * Returns the notice for a page after a redirect. The URL names the notice, so that no text from a URL is
 * shown.
 */
export function noticeOf(name: unknown): string | undefined {
  return typeof name === "string" && Object.hasOwn(notices, name) ? notices[name as NoticeName] : undefined;
}
