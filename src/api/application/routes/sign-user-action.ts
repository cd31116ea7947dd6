import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { credentialPublicKey, credentialSigned } from '../../authentication/credentials.ts';
import { conforming } from '../json-body.ts';
import { plainRoute, type Route, type RouteTools } from '../route.ts';

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

/** POST /auth/action: the signed challenge for a user-action token. */
export function signUserAction(tools: RouteTools): Route {
  return plainRoute(tools, {
    method: 'POST',
    path: '/auth/action',
    readBody: (value) => {
      refuseOtherFactors(value);
      return conforming(bodySchema, value);
    },
    async answer({ requester, body }) {
      const { credId: credentialId, clientData, signature } = body.firstFactor.credentialAssertion;
      const userAction = await tools.userActions.complete(
        requester,
        { challengeIdentifier: body.challengeIdentifier, credentialId, clientData, signature },
        async (id, message, proof) =>
          credentialSigned(await credentialPublicKey(tools.pool, requester.serviceAccount, id), message, proof),
      );
      return { userAction };
    },
  });
}

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
