import { z } from 'zod';
import { activeCredentials } from '../../authentication/credentials.ts';
import { conforming } from '../json-body.ts';
import { plainRoute, type Route, type RouteTools } from '../route.ts';

const bodySchema = z.strictObject({
  /** The body of the request to come, as text; '' for none. */
  userActionPayload: z.string(),
  userActionHttpMethod: z.enum(['POST', 'PUT', 'DELETE', 'GET']),
  /** Pathname only: no origin, no query. */
  userActionHttpPath: z.string().min(1).max(1024),
  userActionServerKind: z.enum(['Api', 'Staff']).optional(),
});

/** POST /auth/action/init: the caller names a request and gets the challenge to sign for it. */
export function startUserAction(tools: RouteTools): Route {
  return plainRoute(tools, {
    method: 'POST',
    path: '/auth/action/init',
    readBody: (value) => conforming(bodySchema, value),
    async answer({ requester, body }) {
      const credentials = await activeCredentials(tools.pool, requester.serviceAccount);
      const { challenge, challengeIdentifier } = tools.userActions.start(requester, {
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
}
