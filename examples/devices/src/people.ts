export interface Person {
  readonly id: string;
  readonly name: string;
}

/** The people who can sign in. They have no passwords: the demo begins after a password check. */
export const people: readonly Person[] = [
  { id: "ada", name: "Ada" },
  { id: "bo", name: "Bo" },
  { id: "cleo", name: "Cleo" },
];

export function personOf(id: unknown): Person | undefined {
  return people.find((person) => person.id === id);
}
