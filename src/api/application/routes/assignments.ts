import { z } from 'zod';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import {
  insertAssignment,
  type PermissionAssignment,
  listAssignments as readAssignments,
  deleteAssignment as removeAssignment,
} from '../../permissions/assignments.ts';
import { requirePermissionSet } from '../../permissions/permissions.ts';
import { requireServiceAccount } from '../../service-accounts/service-accounts.ts';
import { date } from '../answer-fields.ts';
import { changingRoute, plainRoute } from '../route.ts';
import { grantable } from './service-accounts.ts';

const assignmentSchema = z.object({
  id: z.string(),
  permissionId: z.string(),
  identityId: z.string().describe('The service account'),
  isImmutable: z.literal(false),
  dateCreated: date,
  dateUpdated: date,
});

export const listAssignments = plainRoute({
  method: 'GET',
  path: '/permissions/:permissionId/assignments',
  summary: 'List the accounts that have a permission, newest first',
  permission: 'Permissions:Assignments:Read',
  query: pageQuery,
  answer: pageOf(assignmentSchema),
  async respond({ requester: { organisation }, parameters: { permissionId = '' }, query }, { pool }) {
    const { id } = await requirePermissionSet(pool, organisation, permissionId);
    const page = readPage(query);
    const rows = await readAssignments(pool, organisation, id, page);
    return paged(page, rows, ({ assignment }) => assignmentAnswer(assignment));
  },
});

export const createAssignment = changingRoute({
  method: 'POST',
  path: '/permissions/:permissionId/assignments',
  summary: 'Give a service account a permission',
  permission: 'Permissions:Assign',
  body: z.strictObject({ identityId: z.string().min(1).max(64) }),
  answer: assignmentSchema,
  async change(call, client) {
    const { requester, parameters, body } = call;
    const permission = await grantable(call, client, parameters.permissionId ?? '');
    const account = await requireServiceAccount(client, requester.organisation, body.identityId);
    const assignment = await insertAssignment(client, permission, account.id);
    return { effect: assignment.id, answer: assignmentAnswer(assignment) };
  },
});

export const deleteAssignment = changingRoute({
  method: 'DELETE',
  path: '/permissions/:permissionId/assignments/:assignmentId',
  summary: 'Take a permission from a service account',
  permission: 'Permissions:Revoke',
  answer: z.strictObject({}),
  async change({ requester, parameters: { permissionId = '', assignmentId = '' } }, client) {
    await removeAssignment(client, requester.organisation, permissionId, assignmentId);
    return { effect: assignmentId, answer: {} };
  },
});

function assignmentAnswer(assignment: PermissionAssignment): z.infer<typeof assignmentSchema> {
  const created = assignment.createdAt.toISOString();
  return {
    id: assignment.id,
    permissionId: assignment.permission,
    identityId: assignment.serviceAccount,
    isImmutable: false,
    dateCreated: created,
    dateUpdated: created,
  };
}
