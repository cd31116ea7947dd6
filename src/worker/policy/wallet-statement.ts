import { z } from 'zod';
import type { WalletStatement } from '../../shared/driver-protocol.ts';
import { requestId, walletIdOf } from '../../shared/keys.ts';
import { userActionId } from '../../shared/user-action/challenge.ts';
import { type Refusal, refusal } from './refusal.ts';
import { coveringChallenge } from './user-action.ts';

/**
 * What a wallet is, from the user action that made it. The driver needs no record of wallets that somebody could
 * change: a wallet's id is a hash of the challenge (src/shared/keys.ts), the challenge holds the hash of the payload,
 * and the payload names the network and the key, or has the key made, whose id is a hash of the challenge too. Whoever
 * names a wallet's id has said all of that.
 */
export interface WalletFacts {
  readonly network: string;
  readonly keyId: string;
}

const payload = z.object({
  network: z.string().min(1).max(64),
  signingKey: z.object({ id: z.string().optional() }).optional(),
});

export function walletFacts(
  organisation: string,
  walletId: string,
  statement: WalletStatement | undefined,
): WalletFacts | Refusal {
  const refuse = (why: string): Refusal => refusal('AUTHORISATION_REFUSED', `wallet ${walletId}: ${why}`);
  if (statement === undefined) return refuse('the user action that made it is missing');
  const challenge = coveringChallenge({ method: 'POST', path: '/wallets', ...statement });
  if (challenge === undefined) return refuse('its credential signed something else');
  const userAction = userActionId(challenge);
  if (walletIdOf(organisation, userAction) !== walletId) return refuse('another user action made it');
  const { success, data } = payload.safeParse(jsonOf(statement.payload));
  if (!success) return refuse('the payload that made it names no network');
  return {
    network: data.network,
    keyId: data.signingKey?.id ?? requestId('key', organisation, { userAction }),
  };
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
