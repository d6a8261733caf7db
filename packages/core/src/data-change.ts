import type { Encoding } from "./encoding.ts";
import { changesBetween, type DataChanges, isSameData } from "./merge.ts";
import type { About } from "./refusal.ts";

/**
 * What a caller changed: the data that it wants, against the data that it saw. Each text is decoded at most once, and only if it has
 * to be.
 */
export class DataChange<Data extends object> {
  /** What was stored when the caller saw it, encoded. */
  readonly base: string;
  /** What the caller wants, encoded. */
  readonly wanted: string;
  readonly #encoding: Encoding<Data>;
  readonly #about: About;
  readonly #shown: (stored: Data) => object;
  #baseData: Data | null | undefined;
  #wantedData: Data | null | undefined;
  #changes: DataChanges | undefined;

  /** @param shown the part of the stored data that the caller was shown: what is missing there it has not deleted */
  constructor(
    encoding: Encoding<Data>,
    about: About,
    texts: { readonly base: string; readonly wanted: string },
    shown: (stored: Data) => object = (stored) => stored,
  ) {
    this.#encoding = encoding;
    this.#about = about;
    this.#shown = shown;
    this.base = texts.base;
    this.wanted = texts.wanted;
  }

  /** Decoded, shared: not to be changed. `null`: the codec cannot read it. */
  baseData(): Data | null {
    if (this.#baseData === undefined) this.#baseData = this.#encoding.decode(this.base, this.#about);
    return this.#baseData;
  }

  /** Decoded, shared: not to be changed. */
  wantedData(): Data | null {
    if (this.#wantedData === undefined) this.#wantedData = this.#encoding.decode(this.wanted, this.#about);
    return this.#wantedData;
  }

  isEmpty(): boolean {
    return this.base === this.wanted || isSameData(this.#shownData(), this.wantedData() ?? {});
  }

  /** Whether the caller was shown all that was stored, so that what it wants can replace it. */
  replaces(): boolean {
    const stored = this.baseData();
    if (!stored) return false;
    const shown = this.#shown(stored);
    return shown === stored || Object.keys(stored).every((key) => Object.hasOwn(shown, key));
  }

  changes(): DataChanges {
    return (this.#changes ??= changesBetween(this.#shownData(), this.wantedData() ?? {}));
  }

  #shownData(): object {
    const stored = this.baseData();
    return stored ? this.#shown(stored) : {};
  }
}
