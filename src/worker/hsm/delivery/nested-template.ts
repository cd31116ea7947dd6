import koffi from 'koffi';
import { ulong } from '../attributes.ts';
import { Pkcs11Fault } from '../fault.ts';
import type { Handle, Mechanism, Template } from '../module.ts';

/**
 * A master key with CKA_UNWRAP_TEMPLATE. That attribute is an array of attributes, i.e. of pointers, which the PKCS#11
 * binding cannot express; so the calls that make such a key go through a foreign function interface, in the same process
 * and session, into the same library (the loader hands out what is loaded already). Never in a node: where keys are
 * delivered, and where a throw-away is made to try attacks on.
 */

/** Places among the pointers of CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h), after the padded CK_VERSION. */
const generateKeyOffset = 8 + 58 * 8;
const unwrapKeyOffset = 8 + 61 * 8;
/** CK_ATTRIBUTE { CK_ULONG type; void *pValue; CK_ULONG ulValueLen }, where CK_ULONG has 8 bytes. */
const attributeBytes = 24;

const getFunctionList = koffi.proto('uint64_t C_GetFunctionListType(_Out_ void **list)');
const unwrapKey = koffi.proto(
  'uint64_t C_UnwrapKeyType(uint64_t session, void *mechanism, uint64_t key, void *blob, uint64_t blobBytes, void *attributes, uint64_t count, void *unwrapped)',
);

const generateKey = koffi.proto(
  'uint64_t C_GenerateKeyType(uint64_t session, void *mechanism, void *attributes, uint64_t count, void *made)',
);

/** An attribute whose value may be a list of attributes. */
export interface NestedAttribute {
  readonly type: number;
  readonly value: Template[number]['value'] | Template;
}

/** @throws Pkcs11Fault */
export function unwrapWithNestedTemplate(
  module: string,
  session: Handle,
  mechanism: Mechanism,
  unwrappingKey: Handle,
  blob: Buffer,
  template: readonly NestedAttribute[],
): Handle {
  return withFunction(module, unwrapKeyOffset, 'C_UnwrapKey', (address, memory, made) =>
    koffi.call(
      address,
      unwrapKey,
      session.readBigUInt64LE(),
      placeMechanism(memory, mechanism),
      unwrappingKey.readBigUInt64LE(),
      memory.place(blob).address,
      blob.length,
      placeTemplate(memory, template),
      template.length,
      made,
    ),
  );
}

/** C_GenerateKey of such a key. @throws Pkcs11Fault */
export function generateWithNestedTemplate(
  module: string,
  session: Handle,
  mechanism: Mechanism,
  template: readonly NestedAttribute[],
): Handle {
  return withFunction(module, generateKeyOffset, 'C_GenerateKey', (address, memory, made) =>
    koffi.call(
      address,
      generateKey,
      session.readBigUInt64LE(),
      placeMechanism(memory, mechanism),
      placeTemplate(memory, template),
      template.length,
      made,
    ),
  );
}

/** @param call answers CK_RV, and writes a CK_OBJECT_HANDLE to `made`. */
function withFunction(
  module: string,
  offset: number,
  name: string,
  call: (address: bigint, memory: Memory, made: bigint) => unknown,
): Handle {
  const memory = createMemory();
  try {
    const library = koffi.load(module);
    const list: unknown[] = [null];
    const status = koffi.call(library.symbol('C_GetFunctionList'), getFunctionList, list) as number;
    if (status !== 0) throw new Pkcs11Fault('C_GetFunctionList', status);
    const made = memory.place(Buffer.alloc(8));
    const result = Number(call(koffi.decode(list[0], offset, 'void *') as bigint, memory, made.address));
    if (result !== 0) throw new Pkcs11Fault(name, result);
    return Buffer.from(made.bytes);
  } finally {
    memory.free();
  }
}

interface Placed {
  readonly address: bigint;
  readonly bytes: Buffer;
}

/** Memory at fixed addresses, for C to look at during one call. */
interface Memory {
  place(content: Buffer): Placed;
  free(): void;
}

function createMemory(): Memory {
  const blocks: bigint[] = [];
  return {
    place(content) {
      const address = koffi.alloc('uint8_t', Math.max(1, content.length)) as bigint;
      blocks.push(address);
      const bytes = Buffer.from(koffi.view(address, Math.max(1, content.length))).subarray(0, content.length);
      content.copy(bytes);
      return { address, bytes };
    },
    free() {
      for (const block of blocks.splice(0)) koffi.free(block);
    },
  };
}

function placeTemplate(memory: Memory, template: readonly NestedAttribute[]): bigint {
  const table = Buffer.alloc(template.length * attributeBytes);
  for (const [index, { type, value }] of template.entries()) {
    const at = index * attributeBytes;
    table.writeBigUInt64LE(BigInt(type), at);
    if (Array.isArray(value)) {
      table.writeBigUInt64LE(placeTemplate(memory, value), at + 8);
      table.writeBigUInt64LE(BigInt(value.length * attributeBytes), at + 16);
    } else {
      const { address, bytes } = memory.place(encoded(value as Template[number]['value']));
      table.writeBigUInt64LE(address, at + 8);
      table.writeBigUInt64LE(BigInt(bytes.length), at + 16);
    }
  }
  return memory.place(table).address;
}

/** CK_BBOOL, CK_ULONG, text without an end mark, or bytes as they are. */
function encoded(value: Template[number]['value']): Buffer {
  if (Buffer.isBuffer(value)) return value;
  switch (typeof value) {
    case 'boolean':
      return Buffer.from([value ? 1 : 0]);
    case 'number':
      return ulong(value);
    default:
      return Buffer.from(value, 'utf8');
  }
}

/** CK_MECHANISM { CK_ULONG mechanism; void *pParameter; CK_ULONG ulParameterLen }, CK_RSA_PKCS_OAEP_PARAMS inside. */
function placeMechanism(memory: Memory, { mechanism, oaep }: Mechanism): bigint {
  const table = Buffer.alloc(24);
  table.writeBigUInt64LE(BigInt(mechanism));
  if (oaep !== undefined) {
    const parameter = memory.place(
      Buffer.concat([ulong(oaep.hashAlg), ulong(oaep.mgf), ulong(oaep.source), ulong(0), ulong(0)]),
    );
    table.writeBigUInt64LE(parameter.address, 8);
    table.writeBigUInt64LE(BigInt(parameter.bytes.length), 16);
  }
  return memory.place(table).address;
}
