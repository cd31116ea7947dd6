import { z } from 'zod';
import type { Authorisation } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import {
  challengeCovers,
  challengeExpiry,
  challengeTtlMs,
  newChallenge,
  type SignedRequest,
  userActionId,
} from '../../shared/user-action/challenge.ts';
import { challengeOf } from '../../shared/user-action/client-data.ts';
import type { Requester } from '../queue/request.ts';
import { seal, unseal } from './sealed-token.ts';

/**
 * User actions, without state: three calls, each of which any API process can answer.
 *
 *   start     the caller names a request; it gets a challenge over it and the challenge identifier
 *   complete  the caller's credential signed the challenge; it gets the user-action token
 *   check     the request itself arrives with the token
 *
 * Single use is not kept here: the queue consumes the user action's id with the row it inserts.
 */

/** Time from the signed challenge to the request. */
const userActionTtlMs = 120_000;

const principal = z.object({ organisation: z.string(), serviceAccount: z.string(), accessToken: z.string() });

const challengeClaims = z.object({ principal, challenge: z.string(), credentialKinds: z.array(z.literal('Key')) });

const userActionClaims = z.object({
  principal,
  challenge: z.string(),
  credentialId: z.string(),
  /** base64url, as received. */
  clientData: z.string(),
  signature: z.string(),
  /** Unix ms. */
  expiresAt: z.number(),
});

export interface Assertion {
  readonly challengeIdentifier: string;
  readonly credentialId: string;
  /** base64url. */
  readonly clientData: string;
  readonly signature: string;
}

/** A request that the caller's credential signed. */
export interface CheckedUserAction {
  /** Hash of the challenge: the same however often it was signed. */
  readonly id: string;
  readonly authorisation: Authorisation;
}

/**
 * @param secret 32 bytes or more, the same for all API processes.
 * @param now unix ms.
 */
export function createUserActions(secret: Buffer, now: () => number = Date.now) {
  if (secret.length < 32) throw new RangeError('the user action secret has fewer than 32 bytes');
  return {
    start(requester: Requester, request: SignedRequest): { challenge: string; challengeIdentifier: string } {
      const challenge = newChallenge(request, now() + challengeTtlMs);
      const claims: z.infer<typeof challengeClaims> = { principal: requester, challenge, credentialKinds: ['Key'] };
      return { challenge, challengeIdentifier: seal(secret, 'challenge identifier', claims) };
    },

    /**
     * @param signed says whether an active credential of this account signed these bytes.
     * @returns the user-action token.
     * @throws CHALLENGE_INVALID, USER_ACTION_MISSING, and what `signed` throws.
     */
    async complete(
      requester: Requester,
      assertion: Assertion,
      signed: (credentialId: string, message: Buffer, signature: Buffer) => Promise<boolean>,
    ): Promise<string> {
      const { success, data } = challengeClaims.safeParse(
        unseal(secret, 'challenge identifier', assertion.challengeIdentifier),
      );
      if (!success || !samePrincipal(data.principal, requester)) throw new CodedError('CHALLENGE_INVALID', '');
      if ((challengeExpiry(data.challenge) ?? 0) <= now()) throw new CodedError('CHALLENGE_INVALID', 'it has expired');
      // The bytes as they were received: another serialisation of them would be another message.
      const bytes = Buffer.from(assertion.clientData, 'base64url');
      const challenge = challengeOf(bytes);
      if (challenge === undefined)
        throw new CodedError('USER_ACTION_MISSING', 'clientData is not JSON with type "key.get" and challenge');
      if (challenge !== data.challenge)
        throw new CodedError('USER_ACTION_MISSING', 'clientData holds another challenge');
      if (!(await signed(assertion.credentialId, bytes, Buffer.from(assertion.signature, 'base64url')))) {
        throw new CodedError('USER_ACTION_MISSING', 'the signature does not verify with the credential’s public key');
      }
      const claims: z.infer<typeof userActionClaims> = {
        principal: requester,
        challenge: data.challenge,
        credentialId: assertion.credentialId,
        clientData: bytes.toString('base64url'),
        signature: Buffer.from(assertion.signature, 'base64url').toString('base64url'),
        expiresAt: now() + userActionTtlMs,
      };
      return seal(secret, 'user action', claims);
    },

    /**
     * @param payloads the ways the body may have been written; the one that was signed is what counts.
     * @throws USER_ACTION_MISSING
     */
    check(
      requester: Requester,
      token: string | undefined,
      request: { method: string; path: string; payloads: readonly string[] },
    ): CheckedUserAction {
      const { method, path, payloads } = request;
      if (token === undefined) throw new CodedError('USER_ACTION_MISSING', 'there is no x-dfns-useraction header');
      const { success, data } = userActionClaims.safeParse(unseal(secret, 'user action', token));
      if (!success || !samePrincipal(data.principal, requester))
        throw new CodedError('USER_ACTION_MISSING', 'the token is not valid');
      if (data.expiresAt <= now()) throw new CodedError('USER_ACTION_MISSING', 'the token has expired');
      const payload = payloads.find((one) => challengeCovers(data.challenge, { method, path, payload: one }));
      if (payload === undefined) throw new CodedError('USER_ACTION_MISSING', 'another method, path or body was signed');
      const { credentialId, clientData: signedData, signature } = data;
      return {
        id: userActionId(data.challenge),
        authorisation: { method, path, payload, credentialId, clientData: signedData, signature },
      };
    },
  };
}
export type UserActions = ReturnType<typeof createUserActions>;

function samePrincipal(one: Requester, other: Requester): boolean {
  return (
    one.organisation === other.organisation &&
    one.serviceAccount === other.serviceAccount &&
    one.accessToken === other.accessToken
  );
}
