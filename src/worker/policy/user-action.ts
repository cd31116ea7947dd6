import type { PinnedCredentials, PinnedOperation } from '../../shared/credential-list/credential-list.ts';
import type { Authorisation } from '../../shared/driver-protocol.ts';
import { challengeCovers, challengeExpiry, challengeTtlMs } from '../../shared/user-action/challenge.ts';
import { challengeOf } from '../../shared/user-action/client-data.ts';
import { type Refusal, refusal } from './refusal.ts';

/** What a user action is judged by. */
export interface AuthorityRules {
  /** `undefined`: there is no list, and nothing is authorised. */
  readonly credentials: PinnedCredentials | undefined;
  /** From the making of the challenge to the HSM. */
  readonly maxAgeMs: number;
  /** Unix time by this machine's clock. */
  readonly nowMs: number;
}

/** How far the clocks of the API and of a driver may differ. */
const clockToleranceMs = 60_000;

/** The challenge that a caller signed over exactly this method, path and payload; nothing is said of the signature. */
export function coveringChallenge(request: Pick<Authorisation, 'method' | 'path' | 'payload' | 'clientData'>) {
  const challenge = challengeOf(Buffer.from(request.clientData, 'base64url'));
  return challenge !== undefined && challengeCovers(challenge, request) ? challenge : undefined;
}

/** @returns undefined where the challenge is neither too old nor from the future. */
export function refuseAge(challenge: string, { maxAgeMs, nowMs }: AuthorityRules): Refusal | undefined {
  const madeAt = (challengeExpiry(challenge) ?? 0) - challengeTtlMs;
  const age = nowMs - madeAt;
  const clock = `this node’s clock says ${new Date(nowMs).toISOString()}`;
  if (age > maxAgeMs) return refusal('AUTHORISATION_EXPIRED', `it is ${seconds(age)} s old; ${clock}`);
  if (age < -clockToleranceMs)
    return refusal('AUTHORISATION_EXPIRED', `it was made ${seconds(-age)} s from now; ${clock}`);
  return undefined;
}

/** @returns undefined where a credential of the organisation signed it, and may authorise the operations. */
export function refuseSigner(
  { credentialId, clientData, signature }: Pick<Authorisation, 'credentialId' | 'clientData' | 'signature'>,
  organisation: string,
  operations: readonly PinnedOperation[],
  { credentials }: Pick<AuthorityRules, 'credentials'>,
): Refusal | undefined {
  const named = `credential ${credentialId} of ${organisation}`;
  const pinned = credentials?.find(organisation, credentialId);
  if (pinned === undefined) return refusal('CREDENTIAL_NOT_PINNED', named);
  const missing = operations.find((operation) => !pinned.operations.has(operation));
  if (missing !== undefined) return refusal('CREDENTIAL_NOT_PINNED', `${named}, for ${missing}`);
  const message = Buffer.from(clientData, 'base64url');
  if (!pinned.signed(message, Buffer.from(signature, 'base64url')))
    return refusal('AUTHORISATION_REFUSED', `the signature is not by ${named}`);
  return undefined;
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
