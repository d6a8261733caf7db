/** Attaches values to objects of a framework or an application. */
export interface HiddenValue<Value> {
  get(object: object): Value | undefined;
  set(object: object, value: Value): void;
}

/**
 * Behaves like a `WeakMap`: an object's copies, JSON and keys do not show the value, which is collected with
 * the object. It is a private field, because two or three `WeakMap` entries per page view double the garbage
 * collector's work. Frozen objects use a `WeakMap`, because only some engines let them gain a private field.
 */
export function hiddenValue<Value>(): HiddenValue<Value> {
  const ofFrozen = new WeakMap<object, Value>();

  class Branded extends Given {
    #value: Value;

    constructor(object: object, value: Value) {
      super(object);
      this.#value = value;
    }
    static get(object: object): Value | undefined {
      return #value in object ? object.#value : ofFrozen.get(object);
    }
    static set(object: object, value: Value): void {
      if (#value in object) object.#value = value;
      else if (!Object.isExtensible(object)) ofFrozen.set(object, value);
      // oxlint-disable-next-line no-new -- the constructor gives `object` the field
      else new Branded(object, value);
    }
  }
  return Branded;
}

/** A subclass adds its private fields to the object that this constructor returns. */
// oxlint-disable-next-line typescript/no-extraneous-class -- only a constructor can do it
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- the object gets the fields of the subclass
    return object;
  }
}
