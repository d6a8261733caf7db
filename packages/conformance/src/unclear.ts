/** An attempt that shows neither that the sentence holds nor that it does not. It is repeated. */
export class Unclear extends Error {
  override readonly name: string = "Unclear";
  /** The machine or the backend was too slow for the timeouts, and longer ones may help. */
  readonly tooSlow: boolean;

  constructor(message: string, { tooSlow = true }: { readonly tooSlow?: boolean } = {}) {
    super(message);
    this.tooSlow = tooSlow;
  }
}
