import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import { requirePermissionSet } from '../../permissions/permissions.ts';
import {
  archiveServiceAccount,
  updateServiceAccount as changeServiceAccount,
  insertServiceAccount,
  readServiceAccounts,
  requireServiceAccount,
  setServiceAccountActive,
} from '../../service-accounts/service-accounts.ts';
import { type Call, changingRoute, plainRoute } from '../route.ts';
import { serviceAccountAnswer, serviceAccountSchema } from '../service-account-answer.ts';

const name = z.string().min(1).max(100);
const externalId = z.string().min(1).max(100);

export const createServiceAccount = changingRoute({
  method: 'POST',
  path: '/auth/service-accounts',
  summary: 'Create a service account with its access token and credential',
  permission: 'Auth:ServiceAccounts:Create',
  body: z.strictObject({
    name,
    publicKey: z.string().min(1).max(4096).describe('PEM of the key that signs the account’s user actions'),
    permissionId: z.string().min(1).max(64).optional().describe('Without one the account may do nothing yet'),
    externalId: externalId.optional(),
    daysValid: z.int().min(1).max(730).optional(),
  }),
  answer: serviceAccountSchema,
  async change(call, client) {
    const { body } = call;
    const { organisation } = call.requester;
    const permissions = body.permissionId === undefined ? [] : [await grantable(call, client, body.permissionId)];
    const created = await insertServiceAccount(
      client,
      {
        organisation,
        name: body.name,
        publicKey: body.publicKey,
        permissions,
        ...(body.externalId === undefined ? {} : { externalId: body.externalId }),
        ...(body.daysValid === undefined ? {} : { tokenDays: body.daysValid }),
      },
      Date.now(),
    );
    const account = await requireServiceAccount(client, organisation, created.userId);
    return { effect: created.userId, answer: serviceAccountAnswer(account, created.authToken) };
  },
});

/**
 * Nobody passes on what he may not do himself.
 * @returns the id of the permission.
 * @throws NOT_PERMITTED, NOT_FOUND, BAD_REQUEST
 */
export async function grantable(
  call: Pick<Call<unknown, unknown>, 'requester' | 'requirePermission'>,
  client: Parameters<typeof requirePermissionSet>[0],
  permissionId: string,
): Promise<string> {
  call.requirePermission('Permissions:Assign');
  const permission = await requirePermissionSet(client, call.requester.organisation, permissionId);
  if (permission.archived) throw new CodedError('BAD_REQUEST', `permission ${permissionId} is archived`);
  for (const operation of permission.operations) call.requirePermission(operation);
  return permission.id;
}

export const listServiceAccounts = plainRoute({
  method: 'GET',
  path: '/auth/service-accounts',
  summary: 'List service accounts, oldest first',
  permission: 'Auth:ServiceAccounts:Read',
  answer: z.object({ items: z.array(serviceAccountSchema) }),
  async respond({ requester }, { pool }) {
    const accounts = await readServiceAccounts(pool, requester.organisation);
    return { items: accounts.map((account) => serviceAccountAnswer(account)) };
  },
});

export const getServiceAccount = plainRoute({
  method: 'GET',
  path: '/auth/service-accounts/:serviceAccountId',
  summary: 'Get a service account',
  permission: 'Auth:ServiceAccounts:Read',
  answer: serviceAccountSchema,
  async respond({ requester, parameters: { serviceAccountId = '' } }, { pool }) {
    return serviceAccountAnswer(await requireServiceAccount(pool, requester.organisation, serviceAccountId));
  },
});

export const updateServiceAccount = changingRoute({
  method: 'PUT',
  path: '/auth/service-accounts/:serviceAccountId',
  summary: 'Change a service account’s name or externalId',
  permission: 'Auth:ServiceAccounts:Update',
  body: z.strictObject({ name: name.optional(), externalId: externalId.optional() }),
  answer: serviceAccountSchema,
  async change({ requester: { organisation }, parameters: { serviceAccountId = '' }, body }, client) {
    await changeServiceAccount(client, organisation, serviceAccountId, body);
    return answerOf(client, organisation, serviceAccountId);
  },
});

export const activateServiceAccount = changingRoute({
  method: 'PUT',
  path: '/auth/service-accounts/:serviceAccountId/activate',
  summary: 'Let a service account call again',
  permission: 'Auth:ServiceAccounts:Activate',
  answer: serviceAccountSchema,
  async change({ requester: { organisation }, parameters: { serviceAccountId = '' } }, client) {
    await setServiceAccountActive(client, organisation, serviceAccountId, true);
    return answerOf(client, organisation, serviceAccountId);
  },
});

export const deactivateServiceAccount = changingRoute({
  method: 'PUT',
  path: '/auth/service-accounts/:serviceAccountId/deactivate',
  summary: 'Refuse a service account’s calls from now on',
  permission: 'Auth:ServiceAccounts:Deactivate',
  answer: serviceAccountSchema,
  async change({ requester: { organisation }, parameters: { serviceAccountId = '' } }, client) {
    await setServiceAccountActive(client, organisation, serviceAccountId, false);
    return answerOf(client, organisation, serviceAccountId);
  },
});

export const deleteServiceAccount = changingRoute({
  method: 'DELETE',
  path: '/auth/service-accounts/:serviceAccountId',
  summary: 'Delete a service account: its token and credentials are refused for ever',
  permission: 'Auth:ServiceAccounts:Delete',
  answer: serviceAccountSchema,
  async change({ requester: { organisation }, parameters: { serviceAccountId = '' } }, client) {
    const account = await requireServiceAccount(client, organisation, serviceAccountId);
    await archiveServiceAccount(client, organisation, serviceAccountId);
    const tokens = account.tokens.map((token) => ({ ...token, active: false }));
    return { effect: serviceAccountId, answer: serviceAccountAnswer({ ...account, active: false, tokens }) };
  },
});

async function answerOf(client: Parameters<typeof requireServiceAccount>[0], organisation: string, id: string) {
  return { effect: id, answer: serviceAccountAnswer(await requireServiceAccount(client, organisation, id)) };
}
