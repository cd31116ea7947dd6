import { digestsToSign } from '../../shared/chains/index.ts';
import { refuseUnsupportedSignature, type SignatureBody, signatureBody } from '../../shared/chains/signature-body.ts';
import { walletNetwork } from '../../shared/chains/wallet-network.ts';
import type { Authorisation } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { requestId } from '../../shared/keys.ts';
import type { CheckedUserAction } from '../authentication/user-action.ts';
import type { Key } from '../keys.ts';
import { BeliefOutdated, isOpen, type NewRequest, type RequestRow } from '../queue/request.ts';
import type { Wallet } from '../wallets/wallets.ts';
import { DetailedError } from './error-answer.ts';
import { fingerprint } from './json-body.ts';
import type { Call, RouteTools } from './route.ts';
import { type SignatureAnswer, signatureAnswer, signatureSchema } from './signature-answer.ts';

/** What both calls that sign have in common: POST /keys/{keyId}/signatures and POST /wallets/{walletId}/signatures. */
export const signing = {
  method: 'POST',
  permission: 'Keys:Signatures:Create',
  body: signatureBody,
  refuse: refuseUnsupportedSignature,
  answer: signatureSchema,
  believes: true,
} as const;

export interface Signer {
  readonly key: Key;
  /** Its network says how to read the body. */
  readonly wallet?: Wallet;
}

/**
 * Signs, and answers with the signature in the same call, or Executing when the hold is over. With an externalId the
 * same request may be sent again: it has one effect and one answer.
 * @throws BAD_REQUEST, UNSUPPORTED, DUPLICATE_EXTERNAL_ID, USER_ACTION_USED, NO_SIGNER_READY
 */
export async function acceptSignature(
  tools: RouteTools,
  call: Call<SignatureBody, unknown>,
  userAction: CheckedUserAction,
  signer: Signer,
): Promise<SignatureAnswer> {
  const request = newRequest(call, signer, userAction);
  const row = await accept(tools, request, signer);
  const { holdMs } = tools.configuration;
  return signatureAnswer(isOpen(row) ? await tools.queue.hold(row.id, holdMs) : row, signer.key.publicKey);
}

function newRequest(
  { body, sent, path, requester, believed }: Call<SignatureBody, unknown>,
  { key, wallet }: Signer,
  userAction: CheckedUserAction,
): NewRequest {
  const { externalId } = body;
  if (wallet !== undefined && body.network !== undefined && body.network !== wallet.network)
    throw new CodedError('BAD_REQUEST', `the wallet’s network is ${wallet.network}, not ${body.network}`);
  const network = wallet?.network ?? body.network;
  // A pseudo network is no chain: nothing says how to read anything but hashes and messages.
  const chain =
    wallet === undefined || walletNetwork(wallet.network)?.family === 'Pseudo' ? {} : { network: wallet.network };
  const origin = externalId === undefined ? { userAction: userAction.id } : { externalId };
  return {
    id: requestId('sig', key.organisation, origin),
    kind: 'Sign',
    requester,
    keyStore: key.keyStore,
    keyId: key.id,
    type: key.type,
    userAction: userAction.id,
    ...(externalId === undefined ? {} : { externalId }),
    fingerprint: fingerprint(path, sent),
    body: sent,
    ...(network === undefined ? {} : { network }),
    ...(wallet === undefined ? {} : { walletId: wallet.id }),
    ...digestsToSign({ type: key.type, publicKey: key.publicKey, body, ...chain }),
    authorisation: { ...userAction.authorisation, ...statementOf(wallet) },
    ...(believed === undefined
      ? {}
      : { believed: { ...believed, key: { publicKey: key.publicKey, attestation: key.attestation } } }),
  };
}

/** How a driver knows what the wallet is: it does not believe this API. */
function statementOf(wallet: Wallet | undefined): Pick<Authorisation, 'wallet'> {
  if (wallet?.authorisation === undefined) return {};
  const { payload, credentialId, clientData, signature } = wallet.authorisation;
  return { wallet: { payload, credentialId, clientData, signature } };
}

/** The row of this request: new, or the one that was there under the same externalId. */
async function accept({ queue }: RouteTools, request: NewRequest, { key, wallet }: Signer): Promise<RequestRow> {
  try {
    if (key.status !== 'Active') throw new CodedError('BAD_REQUEST', `key ${key.id} is archived`);
    if (wallet !== undefined && wallet.status !== 'Active')
      throw new CodedError('BAD_REQUEST', `wallet ${wallet.id} is archived`);
    queue.requireCapacity(request.keyStore, 'Sign', request.type);
    queue.requireRested(key.id);
    const { row, fresh } = await queue.submit(request);
    return fresh ? row : requireSame(row, request);
  } catch (error) {
    // What was asked before has its answer, whether or not anything new can be asked now.
    const { externalId, requester, id, believed } = request;
    // What was asked before is told to nobody who was only believed to be who it belongs to.
    if (externalId !== undefined && believed !== undefined) throw new BeliefOutdated();
    const existing = externalId === undefined ? undefined : await queue.find(requester.organisation, id);
    if (existing === undefined) throw error;
    return requireSame(existing, request);
  }
}

function requireSame(row: RequestRow, { externalId, fingerprint: asked }: NewRequest): RequestRow {
  if (row.externalId === undefined || externalId === undefined) throw new CodedError('USER_ACTION_USED', '');
  if (row.fingerprint.equals(asked)) return row;
  throw new DetailedError('DUPLICATE_EXTERNAL_ID', '', { duplicate: { id: row.id, externalId } });
}
