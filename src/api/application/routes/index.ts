import type { Route } from '../route.ts';
import { createAssignment, deleteAssignment, listAssignments } from './assignments.ts';
import { getAuditLog } from './audit-log.ts';
import { createKey } from './create-key.ts';
import { createWallet } from './create-wallet.ts';
import {
  activateCredential,
  createCredential,
  deactivateCredential,
  listCredentials,
  startCredential,
} from './credentials.ts';
import { listKeyStores, listSigners } from './key-stores.ts';
import { deleteKey, getKey, listKeys, updateKey } from './keys.ts';
import {
  archivePermission,
  createPermission,
  getPermission,
  listPermissions,
  updatePermission,
} from './permissions.ts';
import {
  activateServiceAccount,
  createServiceAccount,
  deactivateServiceAccount,
  deleteServiceAccount,
  getServiceAccount,
  listServiceAccounts,
  updateServiceAccount,
} from './service-accounts.ts';
import { signUserAction } from './sign-user-action.ts';
import {
  createKeySignature,
  createWalletSignature,
  getKeySignature,
  getWalletSignature,
  listKeySignatures,
  listWalletSignatures,
} from './signatures.ts';
import { startUserAction } from './start-user-action.ts';
import { unsupported } from './unsupported.ts';
import { getWallet, listWallets, tagWallet, untagWallet, updateWallet } from './wallets.ts';
import { getWebhookEvent, listWebhookEvents } from './webhook-events.ts';
import { createWebhook, deleteWebhook, getWebhook, listWebhooks, pingWebhook, updateWebhook } from './webhooks.ts';

/** Every call of the application API. */
export const routes: readonly Route[] = [
  startUserAction,
  signUserAction,
  getAuditLog,
  createServiceAccount,
  listServiceAccounts,
  getServiceAccount,
  updateServiceAccount,
  activateServiceAccount,
  deactivateServiceAccount,
  deleteServiceAccount,
  listCredentials,
  startCredential,
  createCredential,
  activateCredential,
  deactivateCredential,
  listPermissions,
  getPermission,
  createPermission,
  updatePermission,
  archivePermission,
  listAssignments,
  createAssignment,
  deleteAssignment,
  createKey,
  listKeys,
  getKey,
  updateKey,
  deleteKey,
  createKeySignature,
  listKeySignatures,
  getKeySignature,
  createWallet,
  listWallets,
  getWallet,
  updateWallet,
  tagWallet,
  untagWallet,
  createWalletSignature,
  listWalletSignatures,
  getWalletSignature,
  listKeyStores,
  listSigners,
  createWebhook,
  listWebhooks,
  getWebhook,
  updateWebhook,
  deleteWebhook,
  pingWebhook,
  listWebhookEvents,
  getWebhookEvent,
  ...unsupported,
];
