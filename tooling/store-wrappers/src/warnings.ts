export interface HeardWarnings extends Disposable {
  /** The codes of the warnings so far. A warning is emitted one turn of the event loop after its cause. */
  readonly codes: string[];
}

/**
 * Collects the codes of Tenure's process warnings, and keeps all warnings from being printed, until it is
 * disposed.
 */
export function hearWarnings(): HeardWarnings {
  const codes: string[] = [];
  const listen = (warning: Error & { readonly code?: string }): void => {
    if (warning.name === "TenureWarning") codes.push(warning.code ?? "");
  };
  const printing = process.listeners("warning");
  process.removeAllListeners("warning");
  process.on("warning", listen);
  return {
    codes,
    [Symbol.dispose]() {
      process.off("warning", listen);
      for (const print of printing) process.on("warning", print);
    },
  };
}
