/** Attaches values to objects of a framework or an application. */
export interface HiddenValue<Value> {
  get(object: object): Value | undefined;
  set(object: object, value: Value): void;
}

/**
 * Behaves as a `WeakMap`: copies, JSON and listed keys of an object do not have the value, and it is collected with the object. It is a
 * private field, because two or three WeakMap entries per page view double the work of the garbage collector. Whether a frozen
 * object can be given one depends on the engine.
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

/** A subclass adds its private fields to the object that is passed to the constructor. */
// oxlint-disable-next-line typescript/no-extraneous-class -- only a constructor can do it
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- the object gets the fields of the subclass
    return object;
  }
}
