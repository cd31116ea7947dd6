import { z } from 'zod';
import type { ApiConfiguration } from '../../../shared/configuration/api.ts';
import { CodedError } from '../../../shared/errors.ts';
import { type KeyType, keyTypes, requestId } from '../../../shared/keys.ts';
import { readKey } from '../../keys.ts';
import type { RequestRow } from '../../queue/request.ts';
import { conforming, fingerprint } from '../json-body.ts';
import { type KeyAnswer, keyAnswer } from '../key-answer.ts';
import { type Route, type RouteTools, signedRoute } from '../route.ts';
import { failureReason } from '../signature-answer.ts';

const bodySchema = z.strictObject({
  scheme: z.enum(['ECDSA', 'EdDSA', 'Schnorr', 'DH']),
  curve: z.enum(['secp256k1', 'ed25519', 'stark']),
  name: z.string().min(1).max(100).optional(),
  storeId: z.string().min(1).max(64).optional(),
});

/** Members of the Dfns API that only key shares, derived keys or end users have. */
const unsupportedMembers = ['masterKey', 'deriveFrom', 'delegateTo', 'delayDelegation'];

/**
 * POST /keys: makes a key in an HSM. It is not idempotent (there is no externalId), but one user action makes at most
 * one key, under the id of its request.
 */
export function createKey(tools: RouteTools): Route {
  const { configuration, queue } = tools;
  return signedRoute(tools, {
    method: 'POST',
    path: '/keys',
    readBody: (value) => {
      refuseUnsupportedMembers(value);
      const body = conforming(bodySchema, value);
      return { ...body, type: keyType(body.scheme, body.curve), sent: value };
    },
    async answer({ requester, path, body }, userAction) {
      const keyStore = chooseStore(configuration, body.storeId);
      queue.requireCapacity(keyStore, 'GenerateKey', body.type);
      const id = requestId('key', requester.organisation, { userAction: userAction.id });
      const { fresh } = await queue.submit({
        id,
        kind: 'GenerateKey',
        requester,
        keyStore,
        keyId: id,
        type: body.type,
        ...(body.name === undefined ? {} : { keyName: body.name }),
        userAction: userAction.id,
        fingerprint: fingerprint(path, body.sent),
        body: body.sent,
        authorisation: userAction.authorisation,
      });
      if (!fresh) throw new CodedError('USER_ACTION_USED', '');
      const held = await queue.hold(id, configuration.holdMs);
      return await answerMade(tools, isWaiting(held) ? await queue.cancel(id) : held);
    },
  });
}

async function answerMade(tools: RouteTools, row: RequestRow): Promise<KeyAnswer> {
  switch (row.state) {
    case 'made': {
      const key = await readKey(tools.pool, row.requester.organisation, row.keyId, tools.attestationKeys);
      if (key === undefined) throw new CodedError('INTERNAL', `key ${row.keyId} was made and is not there`);
      return keyAnswer(key);
    }
    case 'failed':
      throw new CodedError('KEY_NOT_MADE', failureReason(row));
    case 'cancelled':
      throw new CodedError('NO_SIGNER_READY', 'the key was not made');
    case 'queued':
    case 'leased':
      throw new CodedError('KEY_BEING_MADE', row.keyId);
    case 'signed':
      throw new CodedError('INTERNAL', `key request ${row.id} has state ${row.state}`);
    default:
      throw row.state satisfies never;
  }
}

function isWaiting(row: RequestRow): boolean {
  return row.state === 'queued' || row.state === 'leased';
}

function chooseStore({ keyStores }: ApiConfiguration, storeId: string | undefined): string {
  const store = keyStores.find((one) => (storeId === undefined ? one.primary : one.id === storeId));
  if (store === undefined) throw new CodedError('NOT_FOUND', `key store ${storeId}`);
  return store.id;
}

/** P-256 is for the drivers' own keys. */
function keyType(scheme: string, curve: string): KeyType {
  const type = keyTypes.find((one) => one.scheme === scheme && one.curve === curve);
  if (type === undefined) {
    throw new CodedError(
      'UNSUPPORTED',
      `${scheme} keys on curve ${curve}; there are ECDSA keys on secp256k1 and EdDSA keys on ed25519`,
    );
  }
  return type;
}

function refuseUnsupportedMembers(value: unknown): void {
  const body = (value ?? {}) as Record<string, unknown>;
  const member = unsupportedMembers.find((name) => body[name] !== undefined && body[name] !== false);
  if (member !== undefined)
    throw new CodedError('UNSUPPORTED', `${member}; every key is made in the HSM, for the organisation`);
}
