/**
 * RLP, Ethereum's serialisation (Yellow Paper, appendix B), strict: an item has exactly one encoding, and any other is
 * refused. Items keep the bytes they were read from, so what is written back is what was given.
 */
export interface RlpItem {
  /** The item with its header. */
  readonly encoded: Buffer;
  /** A string's bytes; `undefined` for a list. */
  readonly bytes?: Buffer;
  /** A list's items; `undefined` for a string. */
  readonly items?: readonly RlpItem[];
}

/** Deeper than any transaction; keeps hostile input from filling the stack. */
const deepest = 8;

/** @throws RangeError for anything but exactly one canonical item. */
export function decodeRlp(bytes: Buffer): RlpItem {
  const item = readItem(bytes, 0, deepest);
  if (item.encoded.length !== bytes.length) throw new RangeError('bytes after the end');
  return item;
}

export function encodeRlpBytes(bytes: Buffer): Buffer {
  if (bytes.length === 1 && (bytes[0] as number) < 0x80) return bytes;
  return Buffer.concat([header(0x80, bytes.length), bytes]);
}

/** @param items already encoded. */
export function encodeRlpList(items: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(items);
  return Buffer.concat([header(0xc0, payload.length), payload]);
}

/** An unsigned integer: big-endian, no leading zero, zero is empty. */
export function encodeRlpInteger(value: bigint): Buffer {
  if (value === 0n) return encodeRlpBytes(Buffer.alloc(0));
  const digits = value.toString(16);
  return encodeRlpBytes(Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex'));
}

function header(base: 0x80 | 0xc0, length: number): Buffer {
  if (length < 56) return Buffer.from([base + length]);
  const digits = length.toString(16);
  const size = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return Buffer.concat([Buffer.from([base + 55 + size.length]), size]);
}

function readItem(bytes: Buffer, at: number, depth: number): RlpItem {
  const first = bytes[at];
  if (first === undefined) throw new RangeError('ends too early');
  if (first < 0x80) return { encoded: bytes.subarray(at, at + 1), bytes: bytes.subarray(at, at + 1) };
  const base = first < 0xc0 ? 0x80 : 0xc0;
  const { start, end } = payloadRange(bytes, at, first - base);
  const encoded = bytes.subarray(at, end);
  if (base === 0x80) {
    const payload = bytes.subarray(start, end);
    if (payload.length === 1 && (payload[0] as number) < 0x80) throw new RangeError('a small byte with a header');
    return { encoded, bytes: payload };
  }
  if (depth === 0) throw new RangeError('lists too deep');
  const items: RlpItem[] = [];
  for (let next = start; next < end; next += items.at(-1)?.encoded.length ?? 0) {
    items.push(readItem(bytes.subarray(0, end), next, depth - 1));
  }
  return { encoded, items };
}

/** @param code the first byte without its base: a length below 56, or 55 and the number of length bytes that follow. */
function payloadRange(bytes: Buffer, at: number, code: number): { start: number; end: number } {
  let start = at + 1;
  let length = code;
  if (code > 55) {
    const size = code - 55;
    // Six bytes count further than any body reaches, and readUIntBE takes no more.
    if (size > 6 || start + size > bytes.length) throw new RangeError('a length out of range');
    if (bytes[start] === 0) throw new RangeError('a length with a leading zero');
    length = bytes.readUIntBE(start, size);
    if (length < 56) throw new RangeError('a short length in the long form');
    start += size;
  }
  if (start + length > bytes.length) throw new RangeError('ends too early');
  return { start, end: start + length };
}
