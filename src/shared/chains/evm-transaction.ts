import { CodedError } from '../errors.ts';
import { decodeRlp, encodeRlpBytes, encodeRlpInteger, encodeRlpList, type RlpItem } from './rlp.ts';

/**
 * Unsigned EVM transactions: legacy (with or without EIP-155's chain id), EIP-2930, EIP-1559 and EIP-7702. The fields
 * are checked for their form only (lengths, canonical integers), so that what is signed is a transaction and the signed
 * one is exactly the given fields plus the signature.
 */
export interface EvmTransaction {
  /** The EIP-2718 type byte; `undefined` for legacy. */
  readonly type?: number;
  readonly fields: readonly RlpItem[];
  /** Legacy only: EIP-155's chain id, `undefined` before EIP-155. */
  readonly legacyChainId?: bigint;
}

type FieldCheck = (field: RlpItem) => boolean;

const integer =
  (maxBytes: number): FieldCheck =>
  ({ bytes }) =>
    bytes !== undefined && bytes.length <= maxBytes && bytes[0] !== 0;
const exactly =
  (length: number): FieldCheck =>
  ({ bytes }) =>
    bytes?.length === length;
const listOf =
  (check: FieldCheck): FieldCheck =>
  ({ items }) =>
    items?.every(check) ?? false;
const tuple =
  (...checks: readonly FieldCheck[]): FieldCheck =>
  ({ items }) =>
    items?.length === checks.length && checks.every((check, index) => check(items[index] as RlpItem));

const word = integer(32);
const count = integer(8);
const address = exactly(20);
const addressOrNone: FieldCheck = (field) => address(field) || exactly(0)(field);
const data: FieldCheck = ({ bytes }) => bytes !== undefined;
const accessList = listOf(tuple(address, listOf(exactly(32))));
/** chainId, address, nonce, yParity, r, s (EIP-7702); the list must not be empty. */
const authorisations: FieldCheck = (field) =>
  field.items?.length !== 0 && listOf(tuple(word, address, count, integer(1), word, word))(field);

/** Without the type byte, in the order of the EIPs. */
const legacyLayout: readonly FieldCheck[] = [count, word, count, addressOrNone, word, data];
const typedLayouts: ReadonlyMap<number, readonly FieldCheck[]> = new Map([
  [0x01, [count, count, word, count, addressOrNone, word, data, accessList]],
  [0x02, [count, count, word, word, count, addressOrNone, word, data, accessList]],
  [0x04, [count, count, word, word, count, address, word, data, accessList, authorisations]],
]);
const blobType = 0x03;

/** @throws BAD_REQUEST, UNSUPPORTED (EIP-4844) */
export function readEvmTransaction(bytes: Buffer): EvmTransaction {
  const first = bytes[0];
  if (first === undefined) throw malformed('it is empty');
  if (first >= 0xc0) return readLegacy(fieldsOf(bytes));
  if (first === blobType)
    throw new CodedError('UNSUPPORTED', 'EIP-4844 blob transactions; sign the hash with kind Hash');
  const layout = typedLayouts.get(first);
  if (layout === undefined) throw malformed(`0x${first.toString(16).padStart(2, '0')} is no known transaction type`);
  const fields = fieldsOf(bytes.subarray(1));
  requireLayout(fields, layout);
  return { type: first, fields };
}

/**
 * @param recid 0 or 1.
 * @returns the signed transaction's bytes.
 */
export function signedEvmTransaction(transaction: EvmTransaction, r: Buffer, s: Buffer, recid: 0 | 1): Buffer {
  const { type, fields, legacyChainId } = transaction;
  const v =
    type !== undefined
      ? BigInt(recid)
      : legacyChainId === undefined
        ? 27n + BigInt(recid)
        : legacyChainId * 2n + 35n + BigInt(recid);
  const list = encodeRlpList([
    ...fields.map((field) => field.encoded),
    encodeRlpInteger(v),
    ...[r, s].map((half) => encodeRlpBytes(withoutLeadingZeros(half))),
  ]);
  return type === undefined ? list : Buffer.concat([Buffer.from([type]), list]);
}

function readLegacy(items: readonly RlpItem[]): EvmTransaction {
  const fields = items.slice(0, legacyLayout.length);
  const rest = items.slice(legacyLayout.length);
  requireLayout(fields, legacyLayout);
  if (rest.length === 0) return { fields };
  // EIP-155: chain id, and two empty places where r and s will be.
  const [chainId, r, s] = rest;
  if (rest.length !== 3 || !count(chainId as RlpItem)) throw malformed('a legacy transaction has 6 or 9 fields');
  if (r?.bytes?.length !== 0 || s?.bytes?.length !== 0) throw malformed('it is signed already');
  const hex = chainId?.bytes?.toString('hex') ?? '';
  if (hex === '') throw malformed('its chain id is 0');
  return { fields, legacyChainId: BigInt(`0x${hex}`) };
}

function fieldsOf(bytes: Buffer): readonly RlpItem[] {
  let item: RlpItem;
  try {
    item = decodeRlp(bytes);
  } catch (error) {
    throw malformed(`its RLP is wrong (${(error as Error).message})`);
  }
  if (item.items === undefined) throw malformed('it is no list of fields');
  return item.items;
}

function requireLayout(fields: readonly RlpItem[], layout: readonly FieldCheck[]): void {
  if (fields.length === layout.length + 3) throw malformed('it is signed already');
  if (fields.length !== layout.length) throw malformed(`it has ${fields.length} fields and not ${layout.length}`);
  const wrong = layout.findIndex((check, index) => !check(fields[index] as RlpItem));
  if (wrong !== -1) throw malformed(`its field ${wrong + 1} has the wrong form`);
}

function withoutLeadingZeros(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  return start === -1 ? Buffer.alloc(0) : bytes.subarray(start);
}

function malformed(why: string): CodedError {
  return new CodedError('BAD_REQUEST', `the transaction cannot be read: ${why}`);
}
