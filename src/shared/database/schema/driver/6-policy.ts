import type { Migration } from '../../migrate.ts';

export const policy: Migration = {
  version: 6,
  name: 'pinned credentials, freezes and thaws',
  needs: 3,
  sql: (runtime) => `
    -- Lists of credentials (src/shared/credential-list), each with the order that approves its bytes. A node believes
    -- the order, never the row, and remembers the highest version that it saw.
    create table credential_list (
      version integer primary key,
      list text not null,
      signed_order jsonb not null,
      node text not null,
      installed_at timestamptz not null default now()
    );

    -- What is frozen (src/shared/freezes), and the orders that thawed it; null where no operators are configured.
    create table frozen (
      id uuid primary key,
      scope text not null check (scope in ('key', 'organisation', 'key-store')),
      subject text not null,
      reason text not null,
      node text not null,
      frozen_at timestamptz not null default now()
    );
    -- No reference: a node may remember a freeze whose row a restored database has lost, and that is thawed too.
    create table thawed (
      frozen uuid primary key,
      signed_order jsonb,
      node text not null,
      thawed_at timestamptz not null default now()
    );

    grant select, insert on credential_list, frozen, thawed to ${runtime};
  `,
};
