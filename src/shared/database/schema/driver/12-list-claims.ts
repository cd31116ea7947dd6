import type { Migration } from '../../migrate.ts';

export const listClaims: Migration = {
  version: 12,
  name: 'list claims',
  needs: 3,
  sql: () => `
    -- A list that no node believes must not stand in the way of a good one, whatever version it claims.
    alter table credential_list drop constraint credential_list_pkey;
    alter table credential_list add column id uuid not null default gen_random_uuid() primary key;
    create index credential_list_by_version on credential_list (version desc, id);
  `,
};
