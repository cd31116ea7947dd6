/** A bounded memory: what was used longest ago goes first. */
export interface LeastRecentlyUsed<Key, Value> {
  /** A use. */
  get(key: Key): Value | undefined;
  /** Not a use. */
  peek(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  clear(): void;
  keys(): Iterable<Key>;
  readonly size: number;
}

/** @param onEvict told of a value that had to go for another one; not of what was deleted or replaced. */
export function createLeastRecentlyUsed<Key, Value>(
  limit: number,
  onEvict: (value: Value, key: Key) => void = () => {},
): LeastRecentlyUsed<Key, Value> {
  // A Map keeps the order of insertion.
  const values = new Map<Key, Value>();
  return {
    get(key) {
      const value = values.get(key);
      if (value === undefined) return undefined;
      values.delete(key);
      values.set(key, value);
      return value;
    },
    peek: (key) => values.get(key),
    set(key, value) {
      values.delete(key);
      values.set(key, value);
      if (values.size <= limit) return;
      const [oldest] = values;
      if (oldest === undefined) return;
      values.delete(oldest[0]);
      onEvict(oldest[1], oldest[0]);
    },
    delete: (key) => void values.delete(key),
    clear: () => values.clear(),
    keys: () => [...values.keys()],
    get size() {
      return values.size;
    },
  };
}
