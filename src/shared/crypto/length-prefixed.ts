/**
 * An unambiguous encoding of a list of fields for hashing and signing: each field as a 4-byte big-endian length and
 * its bytes (text as UTF-8). Without the lengths, ("ab","c") and ("a","bc") would be one message.
 */
export function lengthPrefixed(fields: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const field of fields) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}
