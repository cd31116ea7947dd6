import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import {
  type Credential,
  insertCredential,
  listCredentials as readCredentials,
  setCredentialActive,
} from '../../service-accounts/own-credentials.ts';
import { date } from '../answer-fields.ts';
import { changingRoute, plainRoute } from '../route.ts';

/** The caller's own credentials: an account's keys are changed by who holds one of them. */
const credentialSchema = z.object({
  kind: z.literal('Key'),
  credentialId: z.string(),
  credentialUuid: z.string(),
  dateCreated: date,
  isActive: z.boolean(),
  name: z.string(),
  publicKey: z.string(),
  relyingPartyId: z.literal(''),
  origin: z.literal(''),
});

const otherKinds = ['Fido2', 'Password', 'Totp', 'RecoveryKey', 'PasswordProtectedKey'];

function refuseOtherKinds(member: 'kind' | 'credentialKind') {
  return (sent: unknown): void => {
    const kind = (sent as Record<string, unknown> | null | undefined)?.[member];
    if (typeof kind === 'string' && otherKinds.includes(kind))
      throw new CodedError('UNSUPPORTED', `credentials of kind ${kind}; service accounts sign with kind Key`);
  };
}

const base64url = z
  .string()
  .min(1)
  .max(8192)
  .regex(/^[A-Za-z0-9_-]+={0,2}$/, 'must be base64url');

export const listCredentials = plainRoute({
  method: 'GET',
  path: '/auth/credentials',
  summary: 'List the caller’s credentials',
  permission: 'Auth:Creds:Read',
  answer: z.object({ items: z.array(credentialSchema) }),
  async respond({ requester }, { pool }) {
    const credentials = await readCredentials(pool, requester.serviceAccount);
    return { items: credentials.map(credentialAnswer) };
  },
});

export const startCredential = plainRoute({
  method: 'POST',
  path: '/auth/credentials/init',
  summary: 'Get the challenge for a new credential',
  permission: 'Auth:Creds:Create',
  body: z.strictObject({ kind: z.literal('Key') }),
  refuse: refuseOtherKinds('kind'),
  answer: z.object({
    kind: z.literal('Key'),
    user: z.object({ id: z.string(), displayName: z.string(), name: z.string() }),
    challengeIdentifier: z.string(),
    challenge: z.string(),
    attestation: z.literal('direct'),
    pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.number() })),
    temporaryAuthenticationToken: z.string().describe('The challengeIdentifier, for older programs'),
  }),
  async respond({ requester }, { credentialRegistrations }) {
    const { serviceAccount: id } = requester;
    const { challenge, challengeIdentifier } = credentialRegistrations.start(requester);
    return {
      kind: 'Key',
      user: { id, displayName: id, name: id },
      challengeIdentifier,
      challenge,
      attestation: 'direct',
      // EdDSA, ES256, ES256K, ES384, ES512, RS256 (RFC 9053, RFC 8812).
      pubKeyCredParams: [-8, -7, -47, -35, -36, -257].map((alg) => ({ type: 'public-key', alg })),
      temporaryAuthenticationToken: challengeIdentifier,
    };
  },
});

export const createCredential = changingRoute({
  method: 'POST',
  path: '/auth/credentials',
  summary: 'Register another public key of the caller',
  permission: 'Auth:Creds:Create',
  body: z.strictObject({
    credentialKind: z.literal('Key'),
    credentialInfo: z.strictObject({
      credId: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
      clientData: base64url,
      attestationData: base64url,
    }),
    credentialName: z.string().min(1).max(100),
    challengeIdentifier: z.string().min(1).max(4096),
  }),
  refuse: refuseOtherKinds('credentialKind'),
  answer: credentialSchema,
  async change({ requester, body }, client, { credentialRegistrations }) {
    const { credId: id, clientData, attestationData } = body.credentialInfo;
    const { challengeIdentifier, credentialName: name } = body;
    const publicKey = credentialRegistrations.check(requester, { challengeIdentifier, clientData, attestationData });
    const credential = await insertCredential(client, requester.serviceAccount, { id, name, publicKey });
    return { effect: id, answer: credentialAnswer(credential) };
  },
});

const switchBody = z.strictObject({ credentialUuid: z.string().min(1).max(256) });
const switchAnswer = z.object({ message: z.string() });

export const activateCredential = changingRoute({
  method: 'PUT',
  path: '/auth/credentials/activate',
  summary: 'Use one of the caller’s credentials again',
  permission: 'Auth:Creds:Update',
  body: switchBody,
  answer: switchAnswer,
  async change({ requester, body }, client) {
    await setCredentialActive(client, requester.serviceAccount, body.credentialUuid, true);
    return { effect: body.credentialUuid, answer: { message: 'success' } };
  },
});

export const deactivateCredential = changingRoute({
  method: 'PUT',
  path: '/auth/credentials/deactivate',
  summary: 'Refuse one of the caller’s credentials from now on',
  permission: 'Auth:Creds:Update',
  body: switchBody,
  answer: switchAnswer,
  async change({ requester, body }, client) {
    await setCredentialActive(client, requester.serviceAccount, body.credentialUuid, false);
    return { effect: body.credentialUuid, answer: { message: 'success' } };
  },
});

function credentialAnswer(credential: Credential): z.infer<typeof credentialSchema> {
  return {
    kind: 'Key',
    credentialId: credential.id,
    credentialUuid: credential.id,
    dateCreated: credential.createdAt.toISOString(),
    isActive: credential.active,
    name: credential.name,
    publicKey: credential.publicKey,
    relyingPartyId: '',
    origin: '',
  };
}
