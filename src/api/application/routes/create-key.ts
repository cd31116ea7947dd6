import { z } from 'zod';
import { requestId } from '../../../shared/keys.ts';
import { fingerprint } from '../json-body.ts';
import { keyAnswer, keySchema } from '../key-answer.ts';
import { chooseStore, keyTypeOf, makeKey, refuseUnsupportedMembers } from '../make-key.ts';
import { queuedRoute } from '../route.ts';

const bodySchema = z.strictObject({
  scheme: z.enum(['ECDSA', 'EdDSA', 'Schnorr', 'DH']),
  curve: z.enum(['secp256k1', 'ed25519', 'stark']),
  name: z.string().min(1).max(100).optional(),
  storeId: z.string().min(1).max(64).optional(),
  masterKey: z.literal(false).optional(),
  delayDelegation: z.literal(false).optional(),
});

export const createKey = queuedRoute({
  method: 'POST',
  path: '/keys',
  summary: 'Make a key in an HSM',
  permission: 'Keys:Create',
  body: bodySchema,
  refuse: refuseUnsupportedMembers,
  answer: keySchema,
  async respond({ requester, path, body, sent }, userAction, tools) {
    const id = requestId('key', requester.organisation, { userAction: userAction.id });
    const key = await makeKey(tools, {
      id,
      kind: 'GenerateKey',
      requester,
      type: keyTypeOf(body.scheme, body.curve),
      keyStore: chooseStore(tools.configuration, body.storeId),
      keyId: id,
      ...(body.name === undefined ? {} : { keyName: body.name }),
      userAction: userAction.id,
      fingerprint: fingerprint(path, sent),
      body: sent,
      authorisation: userAction.authorisation,
    });
    return keyAnswer(key);
  },
});
