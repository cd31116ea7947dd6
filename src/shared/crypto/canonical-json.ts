/** What documents that people sign are made of. Numbers are whole, so that there is one way to write each. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | readonly CanonicalValue[]
  | { readonly [member: string]: CanonicalValue | undefined };

/**
 * The one way to write a value as JSON: members in the order of their UTF-16 code units, no spaces, texts as
 * JSON.stringify writes them (RFC 8785, for values without fractions). Members that are undefined are left out.
 * @throws RangeError for a number that is not a safe integer.
 */
export function canonicalJson(value: CanonicalValue): string {
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new RangeError('only safe integers have one way to be written');
    return String(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value as Readonly<Record<string, CanonicalValue | undefined>>)
    .filter((member): member is [string, CanonicalValue] => member[1] !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}
