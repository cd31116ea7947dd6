import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { credentialSigned } from '../../../shared/user-action/credential-key.ts';
import { credentialPublicKey } from '../../authentication/credentials.ts';
import { plainRoute } from '../route.ts';

/** What fits into a request header afterwards, an RSA signature of 8192 bits included. */
const base64url = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(/^[A-Za-z0-9_-]+={0,2}$/, 'must be base64url');

const bodySchema = z.strictObject({
  challengeIdentifier: z.string().min(1).max(4096),
  firstFactor: z.strictObject({
    kind: z.literal('Key'),
    credentialAssertion: z.strictObject({
      credId: z.string().min(1).max(256),
      clientData: base64url(2048),
      signature: base64url(1400),
      /** Told by some clients; the credential's key says it already. */
      algorithm: z.string().max(64).optional(),
    }),
  }),
});

const otherFactors = ['Fido2', 'PasswordProtectedKey', 'Password'];

/** The signed challenge for a user-action token. */
export const signUserAction = plainRoute({
  method: 'POST',
  path: '/auth/action',
  summary: 'Sign a user action: a signed challenge for a token that is good for one call',
  permission: undefined,
  body: bodySchema,
  refuse: refuseOtherFactors,
  answer: z.object({ userAction: z.string() }),
  async respond({ requester, body }, { pool, userActions }) {
    const { credId: credentialId, clientData, signature } = body.firstFactor.credentialAssertion;
    const userAction = await userActions.complete(
      requester,
      { challengeIdentifier: body.challengeIdentifier, credentialId, clientData, signature },
      async (id, message, proof) =>
        credentialSigned(await credentialPublicKey(pool, requester.serviceAccount, id), message, proof),
    );
    return { userAction };
  },
});

function refuseOtherFactors(value: unknown): void {
  const { firstFactor, secondFactor } = (value ?? {}) as {
    firstFactor?: { kind?: unknown } | null;
    secondFactor?: unknown;
  };
  if (secondFactor !== undefined) throw new CodedError('UNSUPPORTED', 'a second factor');
  const kind = firstFactor?.kind;
  if (typeof kind === 'string' && otherFactors.includes(kind)) {
    throw new CodedError('UNSUPPORTED', `credentials of kind ${kind}; service accounts sign with kind Key`);
  }
}
