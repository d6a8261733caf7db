import { onTestFinished, vi } from "vitest";

/** Stops this process's clocks until the test is over. `vi.advanceTimersByTime` advances them. */
export function freezeTime(): void {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
}
