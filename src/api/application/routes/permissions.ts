import { z } from 'zod';
import { paged, pageOf, pageQuery, readPage } from '../../page.ts';
import {
  builtIn,
  updatePermission as changePermission,
  insertPermission,
  listOwnPermissions,
  type Permission,
  requirePermissionSet,
} from '../../permissions/permissions.ts';
import { date } from '../answer-fields.ts';
import { changingRoute, plainRoute } from '../route.ts';

const permissionSchema = z.object({
  id: z.string(),
  name: z.string(),
  operations: z.array(z.string()),
  status: z.literal('Active'),
  isImmutable: z.boolean(),
  isArchived: z.boolean(),
  dateCreated: date,
  dateUpdated: date,
});

const fields = {
  name: z.string().min(1).max(100),
  /** Words of the Dfns API that this API does not have are kept, and allow nothing here. */
  operations: z
    .array(
      z
        .string()
        .regex(/^[A-Z][A-Za-z]*(:[A-Z][A-Za-z]*){1,4}$/)
        .max(64),
    )
    .max(200),
};

export const listPermissions = plainRoute({
  method: 'GET',
  path: '/permissions',
  summary: 'List permissions: the built-in ones first, then the organisation’s, newest first',
  permission: 'Permissions:Read',
  query: pageQuery,
  answer: pageOf(permissionSchema),
  async respond({ requester, query }, { pool }) {
    const page = readPage(query);
    const own = await listOwnPermissions(pool, requester.organisation, page);
    const { items, ...rest } = paged(page, own, ({ permission }) => permissionAnswer(permission));
    return { items: page.after === undefined ? [...builtIn.map(permissionAnswer), ...items] : items, ...rest };
  },
});

export const getPermission = plainRoute({
  method: 'GET',
  path: '/permissions/:permissionId',
  summary: 'Get a permission',
  permission: 'Permissions:Read',
  answer: permissionSchema,
  async respond({ requester, parameters: { permissionId = '' } }, { pool }) {
    return permissionAnswer(await requirePermissionSet(pool, requester.organisation, permissionId));
  },
});

export const createPermission = changingRoute({
  method: 'POST',
  path: '/permissions',
  summary: 'Create a permission: a named set of operations',
  permission: 'Permissions:Create',
  body: z.strictObject(fields),
  answer: permissionSchema,
  async change(call, client) {
    for (const operation of call.body.operations) call.requirePermission(operation);
    const permission = await insertPermission(client, call.requester.organisation, call.body);
    return { effect: permission.id, answer: permissionAnswer(permission) };
  },
});

export const updatePermission = changingRoute({
  method: 'PUT',
  path: '/permissions/:permissionId',
  summary: 'Change a permission, for every account that has it',
  permission: 'Permissions:Update',
  body: z.strictObject({ name: fields.name.optional(), operations: fields.operations.optional() }),
  answer: permissionSchema,
  async change(call, client) {
    for (const operation of call.body.operations ?? []) call.requirePermission(operation);
    const { permissionId = '' } = call.parameters;
    const permission = await changePermission(client, call.requester.organisation, permissionId, call.body);
    return { effect: permissionId, answer: permissionAnswer(permission) };
  },
});

export const archivePermission = changingRoute({
  method: 'PUT',
  path: '/permissions/:permissionId/archive',
  summary: 'Archive a permission: it allows nothing while it is',
  permission: 'Permissions:Archive',
  body: z.strictObject({ isArchived: z.boolean() }),
  answer: permissionSchema,
  async change(call, client) {
    const { requester, parameters, body } = call;
    const { permissionId = '' } = parameters;
    // To bring a set back is to pass it on again.
    if (!body.isArchived) {
      const { operations } = await requirePermissionSet(client, requester.organisation, permissionId);
      for (const operation of operations) call.requirePermission(operation);
    }
    const change = { archived: body.isArchived };
    const permission = await changePermission(client, requester.organisation, permissionId, change);
    return { effect: permissionId, answer: permissionAnswer(permission) };
  },
});

function permissionAnswer(permission: Permission): z.infer<typeof permissionSchema> {
  return {
    id: permission.id,
    name: permission.name,
    operations: [...permission.operations],
    status: 'Active',
    isImmutable: permission.builtIn,
    isArchived: permission.archived,
    dateCreated: permission.createdAt.toISOString(),
    dateUpdated: permission.updatedAt.toISOString(),
  };
}
