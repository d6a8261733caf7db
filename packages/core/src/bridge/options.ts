import { assertKnownOptions } from "../store/validate.ts";
import type { WarningCode } from "./warnings.ts";

/** Options of every bridge. */
export interface BridgeOptions<Request> {
  /**
   * Whether a request uses its session. `false`: it does not restart the idle timeout, for polling. Default:
   * every request does.
   */
  isUse?(request: Request): boolean;
  /** Codes of warnings to suppress. */
  readonly silence?: readonly WarningCode[];
}

/**
 * Checks the options of a bridge.
 *
 * @param known the names of the bridge's options
 * @throws TypeError for an unknown option, and for an `isUse` that is not a synchronous function
 */
export function assertOptions(options: unknown, known: readonly string[]): void {
  assertKnownOptions(options, known);
  const { isUse } = options as { readonly isUse?: unknown };
  // The promise of an async function would count as true.
  const isSync = typeof isUse === "function" && isUse.constructor.name !== "AsyncFunction";
  if (isUse === undefined || isSync) return;
  throw new TypeError(
    "isUse must be a function, not async, that returns false for requests that do not restart the idle timeout",
  );
}
