import { addr } from 'micro-eth-signer';
import { CodedError } from '../errors.ts';
import { hexOfBytes } from './hex-text.ts';

export interface TypedMember {
  readonly name: string;
  readonly type: string;
}

/** Far more than anybody reads before signing; hashing this many takes tens of milliseconds. */
const maxValues = 4_096;
const maxDepth = 64;

/**
 * A JSON value of typed data as the one value of its type that it means, for the hashing library: integers as bigint,
 * addresses in lower case. JSON has several forms for the same integer (number, decimal string, hex string, and the
 * object that ethers 5 makes of a BigNumber) and for the same bytes; each is taken, and none that could be rounded or
 * cut.
 * @param path of the value, for errors.
 * @param budget shared by all values of one request.
 * @throws BAD_REQUEST
 */
export function typedValue(
  type: string,
  value: unknown,
  structs: ReadonlyMap<string, readonly TypedMember[]>,
  path: string,
  budget: { values: number },
  depth = 0,
): unknown {
  budget.values += 1;
  if (budget.values > maxValues) throw invalid('the message', `has more than ${maxValues} values`);
  if (depth > maxDepth) throw invalid('the message', `is nested deeper than ${maxDepth}`);
  const array = /^(.+)\[(\d*)\]$/.exec(type);
  if (array !== null) {
    const [, element, length] = array as unknown as [string, string, string];
    if (!Array.isArray(value)) throw invalid(path, 'must be an array');
    if (length !== '' && value.length !== Number(length)) throw invalid(path, `must have ${length} elements`);
    return value.map((item, index) => typedValue(element, item, structs, `${path}[${index}]`, budget, depth + 1));
  }
  const members = structs.get(type);
  return members === undefined
    ? elementaryValue(type, value, path)
    : structValue(members, value, path, (member, inner) =>
        typedValue(member.type, inner, structs, `${path}.${member.name}`, budget, depth + 1),
      );
}

function structValue(
  members: readonly TypedMember[],
  value: unknown,
  path: string,
  read: (member: TypedMember, value: unknown) => unknown,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'must be an object');
  const given = new Map(Object.entries(value));
  const names = new Set(members.map(({ name }) => name));
  const unknown = [...given.keys()].find((name) => !names.has(name));
  if (unknown !== undefined)
    throw invalid(path, `has a member ${JSON.stringify(unknown.slice(0, 64))} that its type does not have`);
  return Object.fromEntries(
    members.map((member) => {
      if (!given.has(member.name)) throw invalid(`${path}.${member.name}`, 'is missing');
      return [member.name, read(member, given.get(member.name))];
    }),
  );
}

function elementaryValue(type: string, value: unknown, path: string): unknown {
  if (type === 'bool') {
    if (typeof value !== 'boolean') throw invalid(path, 'must be true or false');
    return value;
  }
  if (type === 'string') {
    // Lone surrogates have no UTF-8: several texts would have one hash.
    if (typeof value !== 'string' || !value.isWellFormed()) throw invalid(path, 'must be a well-formed string');
    return value;
  }
  if (type === 'address') {
    if (typeof value !== 'string' || !addr.isValid(value))
      throw invalid(path, 'must be an address: 0x, 40 hex digits, and the right checksum where it has one (EIP-55)');
    return value.toLowerCase();
  }
  if (type.startsWith('bytes')) return bytesValue(type.slice('bytes'.length), value, path);
  return integerValue(type, value, path);
}

function bytesValue(length: string, value: unknown, path: string): string {
  const hex = hexOfValue(value);
  if (hex === undefined) throw invalid(path, 'must be 0x and an even number of hex digits, or bytes as numbers');
  if (length !== '' && hex.length !== 2 + 2 * Number(length)) throw invalid(path, `must have ${length} bytes`);
  return hex;
}

function hexOfValue(value: unknown): string | undefined {
  if (typeof value === 'string') return /^0x([0-9a-fA-F]{2})*$/.test(value) ? value.toLowerCase() : undefined;
  const bytes = byteValues(value);
  const inRange = bytes?.every((byte) => Number.isInteger(byte) && (byte as number) >= 0 && (byte as number) <= 255);
  return inRange ? hexOfBytes(Uint8Array.from(bytes as number[])) : undefined;
}

/** JSON.stringify makes three things of bytes: an array, Buffer's object with its type, Uint8Array's with its indexes. */
function byteValues(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, data, ...more } = value as Record<string, unknown>;
  if (type === 'Buffer' && Array.isArray(data) && Object.keys(more).length === 0) return data;
  return Object.keys(value).every((key, index) => key === String(index)) ? Object.values(value) : undefined;
}

function integerValue(type: string, value: unknown, path: string): bigint {
  const [, unsigned, digits] = /^(u?)int(\d*)$/.exec(type) as unknown as [string, string, string];
  const bits = BigInt(digits === '' ? 256 : digits);
  const [least, most] = unsigned === 'u' ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
  const integer = integerOf(value);
  if (integer === undefined)
    throw invalid(path, 'must be an integer: a number up to 2^53, or a string in decimal or in hex with 0x');
  if (integer < least || integer > most) throw invalid(path, `is out of the range of ${type}`);
  return integer;
}

function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === 'object' && value !== null) {
    const { type, hex, ...more } = value as Record<string, unknown>;
    const isBigNumber = type === 'BigNumber' && typeof hex === 'string' && Object.keys(more).length === 0;
    return isBigNumber && hex.length <= 70 && /^-?0x[0-9a-fA-F]+$/.test(hex) ? signedHex(hex) : undefined;
  }
  if (typeof value !== 'string' || value.length > 80) return undefined;
  if (/^-?\d+$/.test(value)) return BigInt(value);
  return /^-?0x[0-9a-fA-F]+$/.test(value) ? signedHex(value) : undefined;
}

function signedHex(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

function invalid(path: string, why: string): CodedError {
  return new CodedError('BAD_REQUEST', `${path.slice(0, 200)} ${why}`);
}
