import type { Migration } from '../../migrate.ts';

export const walletAuthorisation: Migration = {
  version: 4,
  name: 'the user action that made a wallet',
  needs: 2,
  sql: () => `
    -- Drivers check it: a wallet's id is a hash of what its maker signed. Empty for wallets that are older, for which
    -- drivers that enforce authorisations sign nothing.
    alter table wallet add column authorisation jsonb;
  `,
};
