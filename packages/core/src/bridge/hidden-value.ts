/** Ties values to objects of a framework's or an application's. */
export interface HiddenValue<Value> {
  get(object: object): Value | undefined;
  set(object: object, value: Value): void;
}

/**
 * As a `WeakMap`: copies, JSON and listed keys of an object don't have the value, and it goes with the object. A private
 * field does it, since with two or three WeakMap entries a page view the collector has twice the work. Engines differ in
 * whether an object that is frozen can be given one.
 */
export function hiddenValue<Value>(): HiddenValue<Value> {
  const ofFrozen = new WeakMap<object, Value>();

  class Holder extends Given {
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
      else new Holder(object, value);
    }
  }
  return Holder;
}

/** What extends it gives its private fields to the object that its constructor is given. */
// oxlint-disable-next-line typescript/no-extraneous-class -- only a constructor can do it
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- that is what it is for
    return object;
  }
}
