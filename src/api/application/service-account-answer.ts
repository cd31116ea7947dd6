import { z } from 'zod';
import { builtInPermissions } from '../permissions/operations.ts';
import type { ServiceAccount } from '../service-accounts/service-accounts.ts';
import { date } from './answer-fields.ts';

const permissionAssignments = z.array(
  z.object({ permissionName: z.string(), permissionId: z.string(), assignmentId: z.string() }),
);

/** A service account as applications see it (contract of the Dfns API, section 3.1). */
export const serviceAccountSchema = z.object({
  userInfo: z.object({
    username: z.string(),
    name: z.string(),
    userId: z.string(),
    kind: z.literal('CustomerEmployee'),
    credentialUuid: z.string(),
    orgId: z.string(),
    isActive: z.boolean(),
    isServiceAccount: z.literal(true),
    isRegistered: z.literal(true),
    externalId: z.string().optional(),
    permissionAssignments,
  }),
  accessTokens: z.array(
    z.object({
      accessToken: z.string().optional().describe('Shown once, when the account is made'),
      dateCreated: date,
      credId: z.string(),
      isActive: z.boolean(),
      kind: z.literal('ServiceAccount'),
      linkedUserId: z.string(),
      linkedAppId: z.literal(''),
      name: z.string(),
      orgId: z.string(),
      permissionAssignments,
      publicKey: z.string(),
      tokenId: z.string(),
    }),
  ),
});

/** @param accessToken of a new account, in the clear. */
export function serviceAccountAnswer(
  account: ServiceAccount,
  accessToken?: string,
): z.infer<typeof serviceAccountSchema> {
  const { id, name, organisation, active, externalId, tokens } = account;
  const assignments = account.assignments.map((one) => ({
    permissionName: one.name ?? builtInPermissions.find((set) => set.id === one.permission)?.name ?? one.permission,
    permissionId: one.permission,
    assignmentId: one.id,
  }));
  return {
    userInfo: {
      username: name,
      name,
      userId: id,
      kind: 'CustomerEmployee',
      credentialUuid: tokens[0]?.credential ?? '',
      orgId: organisation,
      isActive: active,
      isServiceAccount: true,
      isRegistered: true,
      ...(externalId === undefined ? {} : { externalId }),
      permissionAssignments: assignments,
    },
    accessTokens: tokens.map((token) => ({
      ...(accessToken === undefined ? {} : { accessToken }),
      dateCreated: new Date(token.createdAt).toISOString(),
      credId: token.credential,
      isActive: token.active,
      kind: 'ServiceAccount',
      linkedUserId: id,
      linkedAppId: '',
      name,
      orgId: organisation,
      permissionAssignments: assignments,
      publicKey: token.publicKey,
      tokenId: token.id,
    })),
  };
}
