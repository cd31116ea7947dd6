import type { JoinedSignatures } from '../../shared/chains/answer-signature.ts';
import { joinSignatures } from '../../shared/chains/index.ts';
import { CodedError, catalogue, catalogueEntry, type ErrorCode } from '../../shared/errors.ts';
import type { RequestRow } from '../queue/request.ts';

/** A signature request as applications see it (contract of the Dfns API, section 5.3); absent members are left out. */
export interface SignatureAnswer extends Partial<JoinedSignatures> {
  readonly id: string;
  readonly keyId: string;
  readonly requester: { readonly userId: string; readonly tokenId: string };
  readonly requestBody: unknown;
  readonly status: 'Executing' | 'Signed' | 'Failed';
  readonly reason?: string;
  readonly network?: string;
  readonly externalId?: string;
  /** ISO 8601, UTC, ms. */
  readonly dateRequested: string;
  readonly dateSigned?: string;
}

/**
 * From the row alone, so that every process answers the same.
 * @param publicKey of the key, attested.
 */
export function signatureAnswer(row: RequestRow, publicKey: string): SignatureAnswer {
  return {
    id: row.id,
    keyId: row.keyId,
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

type Outcome = Pick<SignatureAnswer, 'status' | 'reason' | 'dateSigned'> & Partial<JoinedSignatures>;

function outcomeOf(row: RequestRow, publicKey: string): Outcome {
  switch (row.state) {
    case 'queued':
    case 'leased':
      return { status: 'Executing' };
    case 'signed':
      return {
        status: 'Signed',
        ...joinSignatures(row.format, row.signatures ?? [], publicKey),
        ...(row.doneAt === undefined ? {} : { dateSigned: row.doneAt.toISOString() }),
      };
    case 'failed':
      return { status: 'Failed', reason: failureReason(row) };
    case 'made':
    case 'cancelled':
      throw new CodedError('INTERNAL', `signature request ${row.id} has state ${row.state}`);
    default:
      throw row.state satisfies never;
  }
}
