import type { Command } from './command.ts';

/**
 * Every command by its words. A command's code is loaded when it is asked for: the API never loads the driver's, and
 * nothing here loads a PKCS#11 library.
 */
export const commands: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  run: () => import('./run.ts'),
  api: () => import('./api.ts'),
  'api init': () => import('./api-init.ts'),
  'api service-account create': () => import('./service-account-create.ts'),
  'api service-account list': () => import('./service-account-list.ts'),
  'api service-account disable': () => import('./service-account-disable.ts'),
  'api driver add': () => import('./driver-add.ts'),
  'api driver list': () => import('./driver-list.ts'),
  'api driver revoke': () => import('./driver-revoke.ts'),
  'api requests failed': () => import('./requests-failed.ts'),
  status: () => import('./status.ts'),
  'keys list': () => import('./keys-list.ts'),
  'keys show': () => import('./keys-show.ts'),
  doctor: () => import('./doctor.ts'),
  migrate: () => import('./migrate.ts'),
  init: () => import('./init.ts'),
  ceremony: () => import('./ceremony.ts'),
  'ceremony create': () => import('./ceremony-create.ts'),
  'ceremony add-token': () => import('./ceremony-add-token.ts'),
  'ceremony check': () => import('./ceremony-check.ts'),
  'ceremony go-live': () => import('./ceremony-go-live.ts'),
  qualify: () => import('./qualify.ts'),
  'self-test': () => import('./self-test.ts'),
  'pin clear': () => import('./pin.ts'),
  freeze: () => import('./freeze.ts'),
  'freeze list': () => import('./freeze-list.ts'),
  thaw: () => import('./thaw.ts'),
  'credentials build': () => import('./credentials-build.ts'),
  'credentials diff': () => import('./credentials-diff.ts'),
  'credentials install': () => import('./credentials-install.ts'),
  'credentials revoke': () => import('./credentials-revoke.ts'),
  'credentials show': () => import('./credentials-show.ts'),
  'order new': () => import('./order-new.ts'),
  'order sign': () => import('./order-sign.ts'),
  'order show': () => import('./order-show.ts'),
  'order verify': () => import('./order-verify.ts'),
};
