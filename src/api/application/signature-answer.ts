import { z } from 'zod';
import type { JoinedSignatures } from '../../shared/chains/answer-signature.ts';
import { joinSignatures } from '../../shared/chains/index.ts';
import { catalogue } from '../../shared/error-catalogue.ts';
import { CodedError, catalogueEntry, type ErrorCode } from '../../shared/errors.ts';
import type { RequestRow } from '../queue/request.ts';
import { date } from './answer-fields.ts';

const signature = z.object({
  r: z.string().describe('0x and 64 hex digits'),
  s: z.string().describe('0x and 64 hex digits; low for ECDSA'),
  recid: z.number().optional().describe('0 or 1; secp256k1 only'),
  encoded: z.string().optional().describe('As the chain writes it, where the request names a chain'),
});

/** A signature request as applications see it (contract of the Dfns API, section 5.3); absent members are left out. */
export const signatureSchema = z.object({
  id: z.string(),
  keyId: z.string(),
  walletId: z.string().optional().describe('Where a wallet signed'),
  network: z.string().optional(),
  requester: z.object({ userId: z.string(), tokenId: z.string() }),
  requestBody: z.unknown().describe('The body of the request, as it was sent'),
  status: z.enum(['Executing', 'Signed', 'Failed']),
  reason: z.string().optional(),
  signature: signature.optional(),
  signatures: z.array(signature).optional().describe('Only where there are several, e.g. one per input'),
  signedData: z.string().optional().describe('The signed transaction, 0x hex'),
  externalId: z.string().optional(),
  dateRequested: date,
  dateSigned: date.optional(),
});
export type SignatureAnswer = z.infer<typeof signatureSchema>;

/**
 * From the row alone, so that every process answers the same.
 * @param publicKey of the key, attested.
 */
export function signatureAnswer(row: RequestRow, publicKey: string): SignatureAnswer {
  return {
    id: row.id,
    keyId: row.keyId,
    ...(row.walletId === undefined ? {} : { walletId: row.walletId }),
    requester: { userId: row.requester.serviceAccount, tokenId: row.requester.accessToken },
    requestBody: row.body,
    ...outcomeOf(row, publicKey),
    ...(row.network === undefined ? {} : { network: row.network }),
    ...(row.externalId === undefined ? {} : { externalId: row.externalId }),
    dateRequested: row.createdAt.toISOString(),
  };
}

/** Why a request failed, as the application may know it. */
export function failureReason({ errorCode, errorMessage }: RequestRow): string {
  if (errorCode !== undefined && errorCode in catalogue)
    return `${errorCode}: ${catalogueEntry(errorCode as ErrorCode).what}`;
  return errorMessage ?? errorCode ?? 'unknown';
}

type Outcome = Pick<SignatureAnswer, 'status' | 'reason' | 'dateSigned' | 'signature' | 'signatures' | 'signedData'>;

function outcomeOf(row: RequestRow, publicKey: string): Outcome {
  switch (row.state) {
    case 'queued':
    case 'leased':
      return { status: 'Executing' };
    case 'signed': {
      const answer = joinedOf(row, publicKey);
      if (answer === undefined) return { status: 'Failed', reason: `SIGNATURE_INVALID: ${notJoined}` };
      const { signatures, ...joined } = answer;
      return {
        status: 'Signed',
        ...joined,
        ...(signatures === undefined ? {} : { signatures: [...signatures] }),
        ...(row.doneAt === undefined ? {} : { dateSigned: row.doneAt.toISOString() }),
      };
    }
    case 'failed':
      return { status: 'Failed', reason: failureReason(row) };
    case 'made':
    case 'cancelled':
      throw new CodedError('INTERNAL', `signature request ${row.id} has state ${row.state}`);
    default:
      throw row.state satisfies never;
  }
}

const notJoined =
  'what a driver reported as signed does not fit what was to be signed; look who else has its certificate';

/**
 * Drivers verify what they report. Whoever has stolen a certificate may report anything, and must not make every list
 * that holds the request fail. @returns undefined where the signatures are none of the request's format
 */
function joinedOf({ format, signatures }: RequestRow, publicKey: string): JoinedSignatures | undefined {
  try {
    return joinSignatures(format, signatures ?? [], publicKey);
  } catch {
    return undefined;
  }
}
