import { z } from 'zod';
import { activeCredentials } from '../../authentication/credentials.ts';
import { plainRoute } from '../route.ts';

const bodySchema = z.strictObject({
  /** The body of the request to come, as text; '' for none. */
  userActionPayload: z.string(),
  userActionHttpMethod: z.enum(['POST', 'PUT', 'DELETE', 'GET']),
  /** Pathname only: no origin, no query. */
  userActionHttpPath: z.string().min(1).max(1024),
  userActionServerKind: z.enum(['Api', 'Staff']).optional(),
});

/** The caller names a request and gets the challenge to sign for it. */
export const startUserAction = plainRoute({
  method: 'POST',
  path: '/auth/action/init',
  summary: 'Get the challenge for a user action',
  permission: undefined,
  body: bodySchema,
  answer: z.object({
    supportedCredentialKinds: z.array(
      z.object({ kind: z.literal('Key'), factor: z.literal('first'), requiresSecondFactor: z.literal(false) }),
    ),
    challenge: z.string(),
    challengeIdentifier: z.string(),
    externalAuthenticationUrl: z.literal(''),
    allowCredentials: z.object({
      key: z.array(z.object({ type: z.literal('public-key'), id: z.string() })),
      webauthn: z.array(z.never()),
    }),
    userVerification: z.literal('required'),
    attestation: z.literal('direct'),
  }),
  async respond({ requester, body }, { pool, userActions }) {
    const credentials = await activeCredentials(pool, requester.serviceAccount);
    const { challenge, challengeIdentifier } = userActions.start(requester, {
      method: body.userActionHttpMethod,
      path: body.userActionHttpPath,
      payload: body.userActionPayload,
    });
    return {
      supportedCredentialKinds: [{ kind: 'Key', factor: 'first', requiresSecondFactor: false }],
      challenge,
      challengeIdentifier,
      externalAuthenticationUrl: '',
      allowCredentials: { key: credentials.map((id) => ({ type: 'public-key', id })), webauthn: [] },
      userVerification: 'required',
      attestation: 'direct',
    };
  },
});
