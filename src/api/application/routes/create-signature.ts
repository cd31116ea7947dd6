import { digestsToSign } from '../../../shared/chains/index.ts';
import {
  refuseUnsupportedSignature,
  type SignatureBody,
  signatureBody,
} from '../../../shared/chains/signature-body.ts';
import { CodedError } from '../../../shared/errors.ts';
import { requestId } from '../../../shared/keys.ts';
import type { CheckedUserAction } from '../../authentication/user-action.ts';
import { type Key, readKey } from '../../keys.ts';
import type { NewRequest, RequestRow } from '../../queue/request.ts';
import { DetailedError } from '../error-answer.ts';
import { conforming, fingerprint } from '../json-body.ts';
import { type Call, type Route, type RouteTools, signedRoute } from '../route.ts';
import { signatureAnswer } from '../signature-answer.ts';

interface Body {
  readonly read: SignatureBody;
  /** As it was sent, for the echo and the fingerprint. */
  readonly sent: unknown;
}

/**
 * POST /keys/{keyId}/signatures: signs, and answers with the signature in the same call, or Executing when the hold is
 * over. With an externalId the same request may be sent again: it has one effect and one answer.
 */
export function createSignature(tools: RouteTools): Route {
  const { configuration, queue } = tools;
  return signedRoute<Body>(tools, {
    method: 'POST',
    path: '/keys/:keyId/signatures',
    readBody: (value) => {
      refuseUnsupportedSignature(value);
      return { read: conforming(signatureBody, value), sent: value };
    },
    async answer(call, userAction) {
      const keyId = call.parameters.keyId ?? '';
      const key = await readKey(tools.pool, call.requester.organisation, keyId, tools.attestationKeys);
      if (key === undefined) throw new CodedError('NOT_FOUND', `key ${keyId}`);
      if (key.status !== 'Active') throw new CodedError('BAD_REQUEST', `key ${keyId} is archived`);
      const request = newRequest(call, key, userAction);
      const row = await accept(tools, request);
      return signatureAnswer(isWaiting(row) ? await queue.hold(row.id, configuration.holdMs) : row, key.publicKey);
    },
  });
}

function newRequest(call: Call<Body>, key: Key, userAction: CheckedUserAction): NewRequest {
  const { read, sent } = call.body;
  const { externalId, network } = read;
  const origin = externalId === undefined ? { userAction: userAction.id } : { externalId };
  return {
    id: requestId('sig', key.organisation, origin),
    kind: 'Sign',
    requester: call.requester,
    keyStore: key.keyStore,
    keyId: key.id,
    type: key.type,
    userAction: userAction.id,
    ...(externalId === undefined ? {} : { externalId }),
    fingerprint: fingerprint(call.path, sent),
    body: sent,
    ...(network === undefined ? {} : { network }),
    ...digestsToSign({ type: key.type, publicKey: key.publicKey, body: read }),
    authorisation: userAction.authorisation,
  };
}

/** The row of this request: new, or the one that was there under the same externalId. */
async function accept({ queue }: RouteTools, request: NewRequest): Promise<RequestRow> {
  try {
    queue.requireCapacity(request.keyStore, 'Sign', request.type);
  } catch (error) {
    // What was asked before has its answer, whether or not anything can be signed now.
    const existing =
      request.externalId === undefined ? undefined : await queue.find(request.requester.organisation, request.id);
    if (existing === undefined) throw error;
    return requireSame(existing, request);
  }
  const { row, fresh } = await queue.submit(request);
  return fresh ? row : requireSame(row, request);
}

function requireSame(row: RequestRow, { externalId, fingerprint: asked }: NewRequest): RequestRow {
  if (row.externalId === undefined || externalId === undefined) throw new CodedError('USER_ACTION_USED', '');
  if (row.fingerprint.equals(asked)) return row;
  throw new DetailedError('DUPLICATE_EXTERNAL_ID', '', { duplicate: { id: row.id, externalId } });
}

function isWaiting(row: RequestRow): boolean {
  return row.state === 'queued' || row.state === 'leased';
}
