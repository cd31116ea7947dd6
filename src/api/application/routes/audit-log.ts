import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { findAuditEntry } from '../../audit/audit-log.ts';
import { date } from '../answer-fields.ts';
import { plainRoute } from '../route.ts';

export const getAuditLog = plainRoute({
  method: 'GET',
  path: '/auth/action/logs/:userActionId',
  summary: 'Get what a user action did, with what the credential signed',
  permission: 'Auth:Logs:Read',
  answer: z.object({
    id: z.string(),
    action: z.string().describe('Method and path'),
    actionToken: z.string().describe('The body that was signed'),
    userId: z.string(),
    username: z.string(),
    datePerformed: date,
    effect: z.string().describe('Id of what was made or changed'),
    firstFactorCredential: z.object({
      id: z.string(),
      kind: z.literal('Key'),
      publicKey: z.string(),
      assertion: z.object({ authenticatorData: z.null(), clientData: z.string(), signature: z.string() }),
    }),
  }),
  async respond({ requester, parameters: { userActionId = '' } }, { pool }) {
    const entry = await findAuditEntry(pool, requester.organisation, userActionId);
    if (entry === undefined) throw new CodedError('NOT_FOUND', `user action ${userActionId}`);
    const { method, path, payload, credentialId, clientData, signature } = entry.authorisation;
    return {
      id: entry.id,
      action: `${method} ${path}`,
      actionToken: payload,
      userId: entry.serviceAccount,
      username: entry.serviceAccountName,
      datePerformed: entry.createdAt.toISOString(),
      effect: entry.effect,
      firstFactorCredential: {
        id: credentialId,
        kind: 'Key',
        publicKey: entry.publicKey,
        assertion: { authenticatorData: null, clientData, signature },
      },
    };
  },
});
