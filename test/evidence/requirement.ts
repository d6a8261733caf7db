/** What a standard asks for, and what there is to say about it. */
export interface Requirement {
  /** As the standard numbers it. */
  readonly id: string;
  /** In a few words of our own. */
  readonly asks: string;
  /** How Tenure meets it. Absent: it does not concern what Tenure does. */
  readonly met?: string;
  /** What is left to the application, and why. */
  readonly application?: string;
}

export interface Section {
  readonly title: string;
  readonly requirements: readonly Requirement[];
}

export interface Standard {
  /** As it stands in the names of tests: "(ASVS 7.4.1)". */
  readonly mark: string;
  readonly page: string;
  readonly title: string;
  readonly introduction: string;
  readonly sections: readonly Section[];
}
