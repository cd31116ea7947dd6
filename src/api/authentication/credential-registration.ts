import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CodedError } from '../../shared/errors.ts';
import { credentialPem, credentialSigned } from '../../shared/user-action/credential-key.ts';
import type { Requester } from '../queue/request.ts';
import { seal, unseal } from './sealed-token.ts';

/**
 * The registration of another key of the caller's account, as the Dfns SDKs' key signers do it: the new private key
 * signs the hash of the client data, which holds a challenge, together with its public key.
 */
const challengeTtlMs = 300_000;

const claims = z.object({
  serviceAccount: z.string(),
  challenge: z.string(),
  /** Unix ms. */
  expiresAt: z.number(),
});
const clientDataSchema = z.object({ type: z.literal('key.create'), challenge: z.string() });
const attestationSchema = z.object({ publicKey: z.string().max(4096), signature: z.string().min(1).max(4096) });

export interface Registration {
  readonly challengeIdentifier: string;
  /** base64url of JSON. */
  readonly clientData: string;
  /** base64url of JSON with publicKey (PEM) and signature (hex, or base64url). */
  readonly attestationData: string;
}

/**
 * @param secret 32 bytes or more, the same for all API processes.
 * @param now unix ms.
 */
export function createCredentialRegistrations(secret: Buffer, now: () => number = Date.now) {
  return {
    start({ serviceAccount }: Requester): { challenge: string; challengeIdentifier: string } {
      const challenge = randomBytes(32).toString('base64url');
      const content: z.infer<typeof claims> = { serviceAccount, challenge, expiresAt: now() + challengeTtlMs };
      return { challenge, challengeIdentifier: seal(secret, 'credential registration', content) };
    },

    /**
     * @returns the new credential's public key, PEM.
     * @throws CHALLENGE_INVALID, CREDENTIAL_REFUSED
     */
    check({ serviceAccount }: Requester, registration: Registration): string {
      const { success, data } = claims.safeParse(
        unseal(secret, 'credential registration', registration.challengeIdentifier),
      );
      if (!success || data.serviceAccount !== serviceAccount || data.expiresAt <= now())
        throw new CodedError('CHALLENGE_INVALID', '');
      const clientData = Buffer.from(registration.clientData, 'base64url');
      const client = clientDataSchema.safeParse(jsonOf(clientData));
      if (!client.success || client.data.challenge !== data.challenge)
        throw refused('clientData is not JSON with type "key.create" and the challenge');
      const attestation = attestationSchema.safeParse(jsonOf(Buffer.from(registration.attestationData, 'base64url')));
      if (!attestation.success) throw refused('attestationData is not JSON with publicKey and signature');
      const { publicKey, signature } = attestation.data;
      const pem = credentialPem(publicKey);
      const clientDataHash = createHash('sha256').update(clientData).digest('hex');
      // The text that was signed holds the public key as the client wrote it.
      const message = Buffer.from(JSON.stringify({ clientDataHash, publicKey }));
      if (!credentialSigned(createPublicKey(pem), message, signatureBytes(signature)))
        throw refused('its own signature does not verify');
      return pem;
    },
  };
}
export type CredentialRegistrations = ReturnType<typeof createCredentialRegistrations>;

function signatureBytes(text: string): Buffer {
  return /^([0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64url');
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function refused(why: string): CodedError {
  return new CodedError('CREDENTIAL_REFUSED', why);
}
