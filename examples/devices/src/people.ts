export interface Person {
  readonly id: string;
  readonly name: string;
}

/** Who can sign in. Nobody has a password: the demo begins after the password was checked. */
export const people: readonly Person[] = [
  { id: "ada", name: "Ada" },
  { id: "bo", name: "Bo" },
  { id: "cleo", name: "Cleo" },
];

export function personOf(id: unknown): Person | undefined {
  return people.find((person) => person.id === id);
}
