export interface HeardWarnings extends Disposable {
  /** Of the warnings so far. They come a turn of the event loop after what they warn of. */
  readonly codes: string[];
}

/** Collects the codes of this process' warnings from Tenure until it is disposed of. Until then no warning is printed. */
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
