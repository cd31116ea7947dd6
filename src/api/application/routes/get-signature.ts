import { CodedError } from '../../../shared/errors.ts';
import { readKey } from '../../keys.ts';
import { ignoreBody, plainRoute, type Route, type RouteTools } from '../route.ts';
import { signatureAnswer } from '../signature-answer.ts';

/** GET /keys/{keyId}/signatures/{signatureId} */
export function getSignature(tools: RouteTools): Route {
  return plainRoute(tools, {
    method: 'GET',
    path: '/keys/:keyId/signatures/:signatureId',
    readBody: ignoreBody,
    async answer({ requester, parameters }) {
      const { keyId = '', signatureId = '' } = parameters;
      const key = await readKey(tools.pool, requester.organisation, keyId, tools.attestationKeys);
      if (key === undefined) throw new CodedError('NOT_FOUND', `key ${keyId}`);
      const row = await tools.queue.find(requester.organisation, signatureId);
      if (row === undefined || row.kind !== 'Sign' || row.keyId !== keyId)
        throw new CodedError('NOT_FOUND', `signature ${signatureId}`);
      return signatureAnswer(row, key.publicKey);
    },
  });
}
