import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { isUnreachable } from '../../shared/database/faults.ts';
import { CodedError } from '../../shared/errors.ts';
import { type KeyType, keyTypes } from '../../shared/keys.ts';
import type { Key } from '../keys.ts';
import { isOpen, type NewRequest } from '../queue/request.ts';
import type { RouteTools } from './route.ts';
import { failureReason } from './signature-answer.ts';

/** Members of the Dfns API that only key shares, derived keys or end users have. */
const unsupportedMembers = ['masterKey', 'deriveFrom', 'delegateTo', 'delayDelegation'];

/**
 * Has a key made in an HSM, and waits for it. There is no externalId, so it is not idempotent; but one user action makes
 * at most one key, under the id of its request.
 * @throws NO_SIGNER_READY: nothing was made; KEY_BEING_MADE: it will appear; KEY_NOT_MADE, USER_ACTION_USED
 */
export async function makeKey({ queue, keys, configuration }: RouteTools, request: NewRequest): Promise<Key> {
  queue.requireCapacity(request.keyStore, 'GenerateKey', request.type);
  const { fresh } = await queue.submit(request);
  if (!fresh) throw new CodedError('USER_ACTION_USED', '');
  return await madeOrBeingMade(request.keyId, async () => {
    const held = await queue.hold(request.id, configuration.holdMs);
    const row = isOpen(held) ? await queue.cancel(request.id) : held;
    switch (row.state) {
      case 'made': {
        const key = await keys.find(row.requester.organisation, row.keyId);
        if (key === undefined) throw new CodedError('INTERNAL', `key ${row.keyId} was made and is not there`);
        return key;
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
  });
}

/**
 * What follows once a key request is in the table: whatever happens to the database now, the key may be made, and a caller
 * who is told to try again would get a second one.
 * @throws KEY_BEING_MADE instead of what says that the database is unreachable
 */
export async function madeOrBeingMade<Made>(keyId: string, work: () => Promise<Made>): Promise<Made> {
  try {
    return await work();
  } catch (error) {
    throw isUnreachable(error) ? new CodedError('KEY_BEING_MADE', keyId, { cause: error }) : error;
  }
}

/** @throws NOT_FOUND */
export function chooseStore({ keyStores }: ApiConfiguration, storeId: string | undefined): string {
  const store = keyStores.find((one) => (storeId === undefined ? one.primary : one.id === storeId));
  if (store === undefined) throw new CodedError('NOT_FOUND', `key store ${storeId}`);
  return store.id;
}

/** P-256 is for the drivers' own keys. @throws UNSUPPORTED */
export function keyTypeOf(scheme: string, curve: string): KeyType {
  const type = keyTypes.find((one) => one.scheme === scheme && one.curve === curve);
  if (type === undefined || type.curve === 'P-256') {
    throw new CodedError(
      'UNSUPPORTED',
      `${scheme} keys on curve ${curve}; there are ECDSA keys on secp256k1 and EdDSA keys on ed25519`,
    );
  }
  return type;
}

/** @throws UNSUPPORTED */
export function refuseUnsupportedMembers(sent: unknown): void {
  const body = (sent ?? {}) as Record<string, unknown>;
  const member = unsupportedMembers.find((name) => body[name] !== undefined && body[name] !== false);
  if (member !== undefined)
    throw new CodedError('UNSUPPORTED', `${member}; every key is made in the HSM, for the organisation`);
}
