import type { Signature } from '../../shared/driver-protocol.ts';
import type { KeyType } from '../../shared/keys.ts';
import type { RequestEnd, RequestRow, RequestState } from './request.ts';

/** The columns of `request` that applications read, and their mapping. Never `*`: columns come and go by migration. */
export const requestColumns = `id, kind, state, organisation, service_account, access_token, user_action, key_store, key_id,
  scheme, curve, fingerprint, body, network, wallet_id, external_id, format, deliveries, public_key, signatures, error_code,
  error_message, created_at, done_at`;

export interface RequestRecord {
  readonly id: string;
  readonly kind: RequestRow['kind'];
  readonly state: RequestState;
  readonly organisation: string;
  readonly service_account: string;
  readonly access_token: string;
  readonly user_action: string;
  readonly key_store: string;
  readonly key_id: string;
  readonly scheme: string;
  readonly curve: string;
  readonly fingerprint: Buffer;
  readonly body: unknown;
  readonly network: string | null;
  readonly wallet_id: string | null;
  readonly external_id: string | null;
  readonly format: unknown;
  readonly deliveries: number;
  readonly public_key: string | null;
  readonly signatures: readonly Signature[] | null;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly created_at: Date;
  readonly done_at: Date | null;
}

export function requestRow(record: RequestRecord): RequestRow {
  return {
    id: record.id,
    kind: record.kind,
    state: record.state,
    requester: {
      organisation: record.organisation,
      serviceAccount: record.service_account,
      accessToken: record.access_token,
    },
    keyStore: record.key_store,
    keyId: record.key_id,
    type: { scheme: record.scheme, curve: record.curve } as KeyType,
    fingerprint: record.fingerprint,
    body: record.body,
    ...(record.network === null ? {} : { network: record.network }),
    ...(record.wallet_id === null ? {} : { walletId: record.wallet_id }),
    ...(record.external_id === null ? {} : { externalId: record.external_id }),
    ...(record.format === null ? {} : { format: record.format }),
    deliveries: record.deliveries,
    ...(record.public_key === null ? {} : { publicKey: record.public_key }),
    ...(record.signatures === null ? {} : { signatures: record.signatures }),
    ...(record.error_code === null ? {} : { errorCode: record.error_code }),
    ...(record.error_message === null ? {} : { errorMessage: record.error_message }),
    createdAt: record.created_at,
    ...(record.done_at === null ? {} : { doneAt: record.done_at }),
  };
}

/** The columns that the end of a request changes, and whose it is: all that a process needs that knows the rest. */
export const endColumns = 'id, kind, organisation, state, public_key, signatures, error_code, error_message, done_at';

export type EndRecord = Pick<
  RequestRecord,
  'id' | 'kind' | 'organisation' | 'state' | 'public_key' | 'signatures' | 'error_code' | 'error_message' | 'done_at'
>;

export function requestEnd(record: EndRecord): RequestEnd {
  return {
    id: record.id,
    state: record.state,
    ...(record.public_key === null ? {} : { publicKey: record.public_key }),
    ...(record.signatures === null ? {} : { signatures: record.signatures }),
    ...(record.error_code === null ? {} : { errorCode: record.error_code }),
    ...(record.error_message === null ? {} : { errorMessage: record.error_message }),
    ...(record.done_at === null ? {} : { doneAt: record.done_at }),
  };
}

/** Columns as those of the table, where a statement has other relations beside it. */
export function ofRequest(columns: string): string {
  return columns.replace(/\w+/g, 'request.$&');
}
