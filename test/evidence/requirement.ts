/** A requirement of a standard, and how it is met. */
export interface Requirement {
  /** As the standard numbers it. */
  readonly id: string;
  /** What the requirement asks for, paraphrased. */
  readonly asks: string;
  /** How Tenure meets it. Absent if it does not concern Tenure. */
  readonly met?: string;
  /** It is met by a document, by a choice of primitives, or by another requirement that `met` names. */
  readonly byDocument?: true;
  /** What the application must do itself. */
  readonly application?: string;
}

export interface Section {
  readonly title: string;
  readonly requirements: readonly Requirement[];
}

export interface Standard {
  /** The standard's name in the titles of tests: "(ASVS 7.4.1)". */
  readonly mark: string;
  /** The path of the generated page. */
  readonly page: string;
  readonly title: string;
  readonly introduction: string;
  readonly sections: readonly Section[];
}
