import type { Migration } from '../../migrate.ts';

export const ordersInForce: Migration = {
  version: 11,
  name: 'orders in force',
  needs: 3,
  sql: (runtime) => `
    -- The key store's word, signed in an HSM, that an order was obeyed in its time (src/shared/orders/order-in-force.ts).
    -- Text as the order has it: a row that is no order must not make a statement fail. Several workers may say the same.
    create table order_in_force (
      order_id text not null,
      attestation text not null,
      -- Whose audit chain tells of it.
      instance uuid not null,
      attested_at timestamptz not null default now(),
      primary key (order_id, attestation)
    );

    -- A thaw that no node believes must not stand in the way of a good one.
    alter table thawed drop constraint thawed_pkey;
    alter table thawed add column id uuid not null default gen_random_uuid() primary key;
    create index thawed_frozen on thawed (frozen);

    grant select, insert on order_in_force to ${runtime};
  `,
};
