/**
 * What a key that signs no Hash may sign as a `Message` with EdDSA, which signs the bytes themselves (RFC 8032): without
 * this rule such a message is a hash, or a chain's transaction, under another name. Text cannot be one: what chains have
 * Ed25519 keys sign is a hash, or holds the signer's own public key or another fixed value, and those bytes are no text.
 */

/** SHA-256, Keccak-256, BLAKE2b-256: whoever tries 2⁴⁶ transactions finds one whose hash is printable. */
const hashBytes = 32;

/** @returns why it is not text that people can read, for an error; undefined where it is. */
export function whyUnreadable(message: Uint8Array): string | undefined {
  if (message.length === hashBytes) return `it has ${hashBytes} bytes, as a hash has`;
  let text: string;
  try {
    // ignoreBOM: a byte order mark stays in the text.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message);
  } catch {
    return 'it is no UTF-8 text';
  }
  return /[^\P{Cc}\t\n\r]/u.test(text) ? 'it has control characters' : undefined;
}
