/** Nothing was shown, neither way: the sentence is tried again. */
export class Unclear extends Error {
  override readonly name: string = "Unclear";
  /** Whether the machine or the backend was too slow for the deadlines, and longer ones may help. */
  readonly tooSlow: boolean;

  constructor(message: string, { tooSlow = true }: { readonly tooSlow?: boolean } = {}) {
    super(message);
    this.tooSlow = tooSlow;
  }
}
