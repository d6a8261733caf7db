/** One result of `doctor`. */
export interface Finding {
  readonly check: string;
  /** `"unknown"`: it could not be checked. */
  readonly status: "ok" | "warning" | "problem" | "unknown";
  readonly message: string;
  readonly remedy?: string;
}

export function ok(check: string, message: string): Finding {
  return { check, status: "ok", message };
}

export function unknown(check: string, message: string): Finding {
  return { check, status: "unknown", message };
}

export function warning(check: string, message: string, remedy: string): Finding {
  return { check, status: "warning", message, remedy };
}

export function problem(check: string, message: string, remedy: string): Finding {
  return { check, status: "problem", message, remedy };
}
