/** Thrown by an attempt that proves nothing about its sentence, so that it is repeated. */
export class Unclear extends Error {
  override readonly name: string = "Unclear";
  /** Whether the machine or the backend was too slow for the timeouts, so that longer ones may help. */
  readonly tooSlow: boolean;

  constructor(message: string, { tooSlow = true }: { readonly tooSlow?: boolean } = {}) {
    super(message);
    this.tooSlow = tooSlow;
  }
}
