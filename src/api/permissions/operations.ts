/** The operations of the Dfns API that this API has, as their permission words. */
export const operations = [
  'Keys:Create',
  'Keys:Read',
  'Keys:Update',
  'Keys:Delete',
  'Keys:Reuse',
  'Keys:Delegate',
  'Keys:Derive',
  'Keys:Import',
  'Keys:Export',
  'Keys:Signatures:Create',
  'Keys:Signatures:Read',
  'KeyStores:Read',
  'Signers:ListSigners',
  'Wallets:Create',
  'Wallets:Read',
  'Wallets:Update',
  'Wallets:Tags:Add',
  'Wallets:Tags:Delete',
  'Wallets:Transactions:Create',
  'Wallets:Transfers:Create',
  'Auth:ServiceAccounts:Create',
  'Auth:ServiceAccounts:Read',
  'Auth:ServiceAccounts:Update',
  'Auth:ServiceAccounts:Activate',
  'Auth:ServiceAccounts:Deactivate',
  'Auth:ServiceAccounts:Delete',
  'Auth:Creds:Create',
  'Auth:Creds:Read',
  'Auth:Creds:Update',
  'Auth:Logs:Read',
  'Permissions:Create',
  'Permissions:Read',
  'Permissions:Update',
  'Permissions:Archive',
  'Permissions:Assign',
  'Permissions:Revoke',
  'Permissions:Assignments:Read',
  'Webhooks:Create',
  'Webhooks:Read',
  'Webhooks:Update',
  'Webhooks:Delete',
  'Webhooks:Ping',
  'Webhooks:Events:Read',
] as const;
export type Operation = (typeof operations)[number];

/** A set of operations under an id of its own, the same in every installation. */
export interface BuiltInPermission {
  readonly id: string;
  readonly name: string;
  readonly operations: readonly Operation[];
}

export const fullAccess: BuiltInPermission = {
  id: 'pm-built-inset-fullaccess000000',
  name: 'Full access',
  operations,
};

const readOnly: BuiltInPermission = {
  id: 'pm-built-inset-readonly00000000',
  name: 'Read only',
  operations: operations.filter((operation) => operation.endsWith(':Read') || operation === 'Signers:ListSigners'),
};

const signer: BuiltInPermission = {
  id: 'pm-built-inset-signer0000000000',
  name: 'Signer',
  operations: ['Keys:Read', 'Keys:Signatures:Create', 'Keys:Signatures:Read', 'KeyStores:Read', 'Wallets:Read'],
};

export const builtInPermissions: readonly BuiltInPermission[] = [fullAccess, readOnly, signer];

/** What a caller may do: the union of its permissions. */
export interface Allowed {
  has(operation: string): boolean;
}

/**
 * @param assigned ids of the permissions that the account has.
 * @param own operations of those that the organisation made itself.
 */
export function allowed(assigned: readonly string[], own: readonly string[]): Allowed {
  // Words of the Dfns API that this API does not have are everything's too, so that an administrator may pass them on.
  if (assigned.includes(fullAccess.id)) return { has: () => true };
  const builtIn = builtInPermissions.filter(({ id }) => assigned.includes(id)).flatMap((one) => one.operations);
  return new Set<string>([...builtIn, ...own]);
}
