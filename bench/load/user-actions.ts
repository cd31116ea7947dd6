import { createPrivateKey, sign } from 'node:crypto';
import type { ClientFile } from '../../scripts/local/client.ts';
import { createUserActions } from '../../src/api/authentication/user-action.ts';
import type { Requester } from '../../src/api/queue/request.ts';
import { readSecretFile } from '../../src/shared/configuration/secret-file.ts';
import type { Application } from './application.ts';

/** The user-action token for one POST of this body to this path. */
export type MakeUserAction = (path: string, payload: string) => Promise<string>;

/** The SDK's two calls before each request. */
export function askedUserActions(client: ClientFile, application: Application): MakeUserAction {
  const credential = createPrivateKey(client.privateKeyPem);
  return async (path, payload) => {
    const asked = JSON.stringify({
      userActionPayload: payload,
      userActionHttpMethod: 'POST',
      userActionHttpPath: path,
      userActionServerKind: 'Api',
    });
    const { challenge, challengeIdentifier } = JSON.parse((await application.post('/auth/action/init', asked)).text);
    const clientData = clientDataOf(client, challenge);
    const credentialAssertion = {
      credId: client.credentialId,
      clientData: clientData.toString('base64url'),
      signature: sign(null, clientData, credential).toString('base64url'),
    };
    const signed = JSON.stringify({ challengeIdentifier, firstFactor: { kind: 'Key', credentialAssertion } });
    return JSON.parse((await application.post('/auth/action', signed)).text).userAction;
  };
}

/** The same tokens made here, with the API's secret: for runs that leave the two calls out. */
export function ownUserActions(client: ClientFile, secretFile: string): MakeUserAction {
  const credential = createPrivateKey(client.privateKeyPem);
  const userActions = createUserActions(readSecretFile(secretFile, 'userActionSecretFile'));
  const requester = requesterOf(client.authToken);
  return async (path, payload) => {
    const { challenge, challengeIdentifier } = userActions.start(requester, { method: 'POST', path, payload });
    const clientData = clientDataOf(client, challenge);
    const assertion = {
      challengeIdentifier,
      credentialId: client.credentialId,
      clientData: clientData.toString('base64url'),
      signature: sign(null, clientData, credential).toString('base64url'),
    };
    return await userActions.complete(requester, assertion, async () => true);
  };
}

function clientDataOf({ baseUrl }: ClientFile, challenge: string): Buffer {
  return Buffer.from(JSON.stringify({ type: 'key.get', challenge, origin: baseUrl, crossOrigin: false }));
}

/** The bearer token says whose it is, as the SDK reads it. */
function requesterOf(authToken: string): Requester {
  const claims = JSON.parse(Buffer.from(authToken.split('.')[1] ?? '', 'base64url').toString('utf8'));
  const { orgId, userId, tokenId } = claims['https://custom/app_metadata'];
  return { organisation: orgId, serviceAccount: userId, accessToken: tokenId };
}
