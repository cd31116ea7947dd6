import { CodedError } from '../errors.ts';

/** Hex as the Dfns API takes it: 0x may be missing, either case, an even number of digits. */
export const hexTextPattern = /^(0x)?([0-9a-fA-F]{2})*$/;

/**
 * @param member the request's member, for the error.
 * @throws BAD_REQUEST
 */
export function bytesOfHex(text: string, member: string): Buffer {
  if (!hexTextPattern.test(text))
    throw new CodedError('BAD_REQUEST', `${member} must be hex with an even number of digits`);
  return Buffer.from(text.startsWith('0x') ? text.slice(2) : text, 'hex');
}

/** 0x and lower-case digits, as answers are written. */
export function hexOfBytes(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}
