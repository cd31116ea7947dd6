import * as TypedData from 'ox/TypedData';
import { CodedError } from '../errors.ts';
import { type TypedMember, typedValue } from './evm-typed-value.ts';

/**
 * EIP-712 typed data as the Dfns API takes it: without `primaryType`, which is the one type that no other refers to, and
 * with a domain whose type follows from the members it has.
 */
export interface Eip712Data {
  readonly types: Readonly<Record<string, readonly TypedMember[]>>;
  readonly domain: Eip712Domain;
  readonly message: Readonly<Record<string, unknown>>;
}

export interface Eip712Domain {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  /** As a string: decimal, or hex with 0x. */
  readonly chainId?: number | string | undefined;
  readonly verifyingContract?: string | undefined;
  readonly salt?: string | undefined;
}

/** In the order of EIP-712; a domain's type has those that are there. */
const domainMembers: readonly TypedMember[] = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
  { name: 'salt', type: 'bytes32' },
];
const domainType = 'EIP712Domain';

/** Bounds for the text that is hashed: once for each type, with that of all types it uses. */
const maxTypes = 100;
const maxTypeCharacters = 32_768;

/** What the library reads as one name; Solidity's `$` is not in it, and nobody uses it. */
const identifier = /^[A-Za-z_]\w*$/;
const elementary =
  /^(address|bool|string|bytes|bytes([1-9]|[12]\d|3[0-2])|u?int(8|16|24|32|40|48|56|64|72|80|88|96|104|112|120|128|136|144|152|160|168|176|184|192|200|208|216|224|232|240|248|256)?)$/;
const arrays = /(\[([1-9]\d{0,5})?\])*$/;

/**
 * keccak256(0x19 ‖ 0x01 ‖ domainSeparator ‖ hashStruct(message)). Refuses whatever would be signed in another meaning
 * than it seems to have: members that no type names, values out of their type's range, types that are not used.
 * @throws BAD_REQUEST
 */
export function eip712Digest({ types, domain, message }: Eip712Data): Buffer {
  const structs = new Map(Object.entries(types).filter(([name]) => name !== domainType));
  requireBounds(structs);
  for (const [name, members] of structs) checkStruct(name, members, structs);
  const primaryType = primaryTypeOf(structs);
  const domainFields = domainMembers.filter(({ name }) => domain[name as keyof Eip712Domain] !== undefined);
  structs.set(domainType, domainFields);
  const budget = { values: 0 };
  const given = Object.fromEntries(domainFields.map(({ name }) => [name, domain[name as keyof Eip712Domain]]));
  const payload = {
    types: Object.fromEntries(structs),
    primaryType,
    domain: typedValue(domainType, given, structs, 'domain', budget),
    message: typedValue(primaryType, message, structs, 'message', budget),
  };
  try {
    return Buffer.from(
      TypedData.getSignPayload(payload as Parameters<typeof TypedData.getSignPayload>[0]).slice(2),
      'hex',
    );
  } catch (error) {
    throw new CodedError('BAD_REQUEST', `the typed data cannot be read: ${(error as Error).message.slice(0, 200)}`);
  }
}

/** The type of one element, whatever the dimensions: `Person[][2]` gives `Person`. */
function elementType(type: string): string {
  return type.replace(arrays, '');
}

function requireBounds(structs: ReadonlyMap<string, readonly TypedMember[]>): void {
  let characters = 0;
  for (const [name, members] of structs) {
    characters += name.length;
    for (const member of members) characters += member.name.length + member.type.length;
  }
  if (structs.size > maxTypes || characters > maxTypeCharacters)
    throw invalid(`types: more than ${maxTypes} types, or ${maxTypeCharacters} characters of names`);
}

function checkStruct(
  name: string,
  members: readonly TypedMember[],
  structs: ReadonlyMap<string, readonly TypedMember[]>,
): void {
  if (!identifier.test(name) || elementary.test(name) || name === '__proto__')
    throw invalid(`types: ${quoted(name)} is no name for a type`);
  const seen = new Set<string>();
  for (const member of members) {
    if (!identifier.test(member.name) || member.name === '__proto__' || seen.has(member.name))
      throw invalid(`types.${name}: ${quoted(member.name)} is no name for a member, or is there twice`);
    seen.add(member.name);
    const element = elementType(member.type);
    if (!elementary.test(element) && !structs.has(element))
      throw invalid(`types.${name}.${member.name}: ${quoted(member.type)} is no type`);
  }
}

/** The type that no other refers to. All others must be reached from it, or they would not be signed. */
function primaryTypeOf(structs: ReadonlyMap<string, readonly TypedMember[]>): string {
  const referred = (name: string) =>
    (structs.get(name) ?? []).map(({ type }) => elementType(type)).filter((type) => structs.has(type));
  const inner = new Set([...structs.keys()].flatMap((name) => referred(name).filter((type) => type !== name)));
  const [primaryType, ...others] = [...structs.keys()].filter((name) => !inner.has(name));
  if (primaryType === undefined) throw invalid('types: there is no primary type, one that no other refers to');
  if (others.length > 0)
    throw invalid(
      `types: there are several primary types, which no other refers to: ${[primaryType, ...others].join(', ')}`,
    );
  const reached = new Set([primaryType]);
  for (const name of reached) for (const type of referred(name)) reached.add(type);
  if (reached.size !== structs.size) throw invalid(`types: ${primaryType} does not use all of the others`);
  return primaryType;
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}

function invalid(why: string): CodedError {
  return new CodedError('BAD_REQUEST', why);
}
