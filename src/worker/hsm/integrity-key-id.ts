/**
 * The integrity key's id is made from the key: `ik-` and 80 bits of its HMAC over a fixed text, in base32. So a slot
 * proves that it holds this key by making the id again; with another key every row would look tampered with. The text
 * cannot be mistaken for a row, whose message begins with a 4-byte length.
 */
export const integrityKeyText = Buffer.from('hsm-driver integrity key v1');

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** @param mac HMAC-SHA-256 of `integrityKeyText` by the key, 32 bytes. */
export function integrityKeyId(mac: Buffer): string {
  let bits = BigInt(`0x${mac.toString('hex', 0, 10)}`);
  let word = '';
  for (let place = 0; place < 16; place += 1) {
    word = alphabet.charAt(Number(bits & 31n)) + word;
    bits >>= 5n;
  }
  return `ik-${word}`;
}
