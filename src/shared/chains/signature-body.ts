import { z } from 'zod';
import { CodedError } from '../errors.ts';
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

export const signatureBody = z.discriminatedUnion('kind', [
  z.strictObject({
    ...shared,
    kind: z.literal('Hash'),
    hash: z.string().regex(/^(0x)?[0-9a-fA-F]{64}$/, 'must be 32 bytes in hex'),
  }),
  z.strictObject({ ...shared, kind: z.literal('Message'), message: hexText }),
  z.strictObject({ ...shared, kind: z.literal('Eip191'), message: hexText }),
  z.strictObject({ ...shared, kind: z.literal('Transaction'), transaction: hexText }),
]);
export type SignatureBody = z.infer<typeof signatureBody>;

/** Kinds of the Dfns API that need a chain's own format, which this program does not read (yet). */
const unsupportedKinds = [
  'Eip712',
  'Eip7702',
  'Psbt',
  'Bip322',
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
  const { kind, taprootMerkleRoot, transaction } = body as Record<string, unknown>;
  if (typeof kind === 'string' && unsupportedKinds.includes(kind)) {
    throw new CodedError('UNSUPPORTED', `signatures of kind ${kind}; sign the hash with kind Hash`);
  }
  if (kind === 'Hash' && taprootMerkleRoot !== undefined) {
    throw new CodedError('UNSUPPORTED', 'taprootMerkleRoot; there are no Schnorr keys');
  }
  if (kind === 'Transaction' && typeof transaction === 'object') {
    throw new CodedError('UNSUPPORTED', 'transactions as JSON; send the serialised transaction in hex');
  }
}
