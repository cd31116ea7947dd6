import { z } from 'zod';
import { CodedError } from '../errors.ts';
import { messageFormats } from './bitcoin-message-format.ts';
import { hexTextPattern } from './hex-text.ts';
import { blockchainKinds, networks } from './networks.ts';

/**
 * The body of "generate signature" (POST /keys/{id}/signatures, and of the wallet call that shares it), for the kinds
 * this program can sign. It is here, not with the routes, because a driver reads the same body from the caller's
 * authorisation. Unknown members are refused.
 */
const shared = {
  network: z.enum(networks, 'is not a network that this API knows').optional(),
  blockchainKind: z.enum(blockchainKinds).optional(),
  externalId: z.string().min(1).max(50).optional(),
};
const hexText = z.string().regex(hexTextPattern, 'must be hex with an even number of digits');
const evmAddress = z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'must be 0x and 40 hex digits');

const eip712Domain = z.strictObject({
  name: z.string().optional(),
  version: z.string().optional(),
  chainId: z.union([z.int().min(1), z.string()]).optional(),
  verifyingContract: evmAddress.optional(),
  salt: z
    .string()
    .regex(/^0x[0-9a-fA-F]{64}$/, 'must be 0x and 64 hex digits')
    .optional(),
});

export const signatureBody = z.discriminatedUnion('kind', [
  z.strictObject({
    ...shared,
    kind: z.literal('Hash'),
    hash: z.string().regex(/^(0x)?[0-9a-fA-F]{64}$/, 'must be 32 bytes in hex'),
  }),
  z.strictObject({ ...shared, kind: z.literal('Message'), message: hexText }),
  z.strictObject({ ...shared, kind: z.literal('Transaction'), transaction: hexText }),
  z.strictObject({ ...shared, kind: z.literal('Eip191'), message: hexText }),
  z.strictObject({
    ...shared,
    kind: z.literal('Eip712'),
    types: z.record(z.string(), z.array(z.strictObject({ name: z.string(), type: z.string() })).max(256)),
    domain: eip712Domain,
    message: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({
    ...shared,
    kind: z.literal('Eip7702'),
    address: evmAddress,
    nonce: z.int().min(0),
    chainId: z.int().min(0),
  }),
  z.strictObject({ ...shared, kind: z.literal('Psbt'), psbt: hexText }),
  z.strictObject({
    ...shared,
    kind: z.literal('Bip322'),
    message: hexText,
    format: z.enum(messageFormats).optional(),
  }),
]);
export type SignatureBody = z.infer<typeof signatureBody>;
export type SignatureKind = SignatureBody['kind'];

export const signatureKinds: readonly SignatureKind[] = signatureBody.options.map(({ shape }) => shape.kind.value);

/** Kinds of the Dfns API that belong to chains whose formats this program does not read. */
const unsupportedKinds = [
  'SignDocDirect',
  'SignerPayload',
  'Cip8',
  'Snip12',
  'DfnsSmartAccountTransaction',
  'StellarFeeBumpTransaction',
];

/**
 * Refuses what the Dfns API knows and this program does not, so that the caller reads "not supported" and not "not
 * valid". Call it before the schema, which knows only what is supported.
 * @throws UNSUPPORTED
 */
export function refuseUnsupportedSignature(body: unknown): void {
  if (typeof body !== 'object' || body === null) return;
  const { kind, network, taprootMerkleRoot, transaction } = body as Record<string, unknown>;
  if (typeof kind === 'string' && unsupportedKinds.includes(kind)) {
    const where = typeof network === 'string' && networks.includes(network) ? ` for network ${network}` : '';
    throw new CodedError('UNSUPPORTED', `kind ${kind}${where}; sign the hash with kind Hash`);
  }
  if (kind === 'Hash' && taprootMerkleRoot !== undefined) {
    throw new CodedError('UNSUPPORTED', 'taprootMerkleRoot; there are no Schnorr keys');
  }
  if (kind === 'Transaction' && typeof transaction === 'object') {
    throw new CodedError('UNSUPPORTED', 'transactions as JSON; send the serialised transaction in hex');
  }
}
