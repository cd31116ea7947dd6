import { z } from 'zod';
import { walletNetwork } from '../../shared/chains/wallet-network.ts';
import type { PinnedOperation } from '../../shared/credential-list/credential-list.ts';
import type { LeasedGenerateKey } from '../../shared/driver-protocol.ts';
import { requestId } from '../../shared/keys.ts';
import { userActionId } from '../../shared/user-action/challenge.ts';
import { type Refusal, refusal } from './refusal.ts';
import { type AuthorityRules, coveringChallenge, refuseAge, refuseSigner } from './user-action.ts';
import { jsonOf } from './wallet-statement.ts';

const newKey = z.object({ scheme: z.string(), curve: z.string(), storeId: z.string().optional() });
const newWallet = z.object({
  network: z.string(),
  signingKey: z
    .object({
      id: z.undefined(),
      scheme: z.string().optional(),
      curve: z.string().optional(),
      storeId: z.string().optional(),
    })
    .optional(),
});

interface WantedKey {
  readonly operations: readonly PinnedOperation[];
  readonly scheme: string;
  readonly curve: string;
  readonly storeId: string | undefined;
}

export interface AskedKeyStore {
  readonly keyStore: string;
  /** Whether what names no key store is for this one: one authorisation makes a key in one of them. */
  readonly primary: boolean;
}

/** Did a credential of the organisation have exactly this key made, by POST /keys or POST /wallets? */
export function refuseKeyAuthority(
  request: LeasedGenerateKey,
  { keyStore, primary }: AskedKeyStore,
  rules: AuthorityRules,
): Refusal | undefined {
  const { authorisation, organisation, id, keyId, type } = request;
  if (authorisation === undefined) return refuse('the request carries no authorisation');
  const challenge = coveringChallenge(authorisation);
  if (challenge === undefined) return refuse('the credential signed another method, path or payload');
  const wanted = wantedKey(authorisation.method, authorisation.path, jsonOf(authorisation.payload));
  if (wanted === undefined)
    return refuse(`it is for ${authorisation.method} ${authorisation.path}, and for no new key`);
  if (wanted.scheme !== type.scheme || wanted.curve !== type.curve) return refuse('it is for another type of key');
  const isHere = wanted.storeId === undefined ? primary : wanted.storeId === keyStore;
  if (!isHere) return refuse(`it is for ${wanted.storeId ?? 'the primary key store'}, and this one is ${keyStore}`);
  // The id is a hash of the challenge: one authorisation makes one key, since the row's request id is unique for ever.
  if (requestId('key', organisation, { userAction: userActionId(challenge) }) !== id || keyId !== id)
    return refuse(`it authorises another request than ${id}`);
  return refuseAge(challenge, rules) ?? refuseSigner(authorisation, organisation, wanted.operations, rules);
}

function wantedKey(method: string, path: string, payload: unknown): WantedKey | undefined {
  if (method !== 'POST') return undefined;
  if (path === '/keys') {
    const { success, data } = newKey.safeParse(payload);
    return success ? { operations: ['Keys:Create'], ...data, storeId: data.storeId } : undefined;
  }
  if (path !== '/wallets') return undefined;
  const { success, data } = newWallet.safeParse(payload);
  const type = success ? typeOfNetwork(data.network) : undefined;
  if (!success || type === undefined) return undefined;
  const { scheme = type.scheme, curve = type.curve, storeId } = data.signingKey ?? {};
  return { operations: ['Wallets:Create', 'Keys:Create'], scheme, curve, storeId };
}

function typeOfNetwork(network: string) {
  try {
    return walletNetwork(network)?.type;
  } catch {
    // A network whose keys no key store can make.
    return undefined;
  }
}

function refuse(why: string): Refusal {
  return refusal('AUTHORISATION_REFUSED', why);
}
