import { z } from 'zod';
import { CodedError } from '../../../shared/errors.ts';
import type { Operation } from '../../permissions/operations.ts';
import { plainRoute, type Route } from '../route.ts';

/** Calls of the Dfns API that an HSM key store cannot answer: they say so, and what to do instead. */
export const unsupported: readonly Route[] = [
  refuse('/keys/import', 'Keys:Import', 'import of key shares; keys are made in the HSM'),
  refuse('/keys/:keyId/export', 'Keys:Export', 'export; no key leaves the HSM'),
  refuse('/keys/:keyId/derive', 'Keys:Derive', 'derivation; there are no DH keys'),
  refuse('/keys/:keyId/delegate', 'Keys:Delegate', 'delegation to end users; every key is the organisation’s'),
  refuse('/wallets/import', 'Keys:Import', 'import of key shares; keys are made in the HSM'),
  refuse('/wallets/:walletId/export', 'Keys:Export', 'export; no key leaves the HSM'),
  refuse('/wallets/:walletId/delegate', 'Keys:Delegate', 'delegation to end users; every key is the organisation’s'),
  refuse('/wallets/:walletId/transactions', 'Wallets:Transactions:Create', 'broadcasting; sign, and send it yourself'),
  refuse(
    '/wallets/:walletId/transfers',
    'Wallets:Transfers:Create',
    'transfers; sign a transaction, and send it yourself',
  ),
];

function refuse(path: string, permission: Operation, what: string): Route {
  return plainRoute({
    method: 'POST',
    path,
    summary: `Not supported: ${what}`,
    permission,
    answer: z.never(),
    async respond() {
      throw new CodedError('UNSUPPORTED', what);
    },
  });
}
