import type { Migration } from '../../migrate.ts';

export const orderedNodes: Migration = {
  version: 9,
  name: 'orders of driver nodes',
  needs: 2,
  sql: (runtime) => `
    -- The operators' order that let the node in: where operators are configured, an API process believes it, not the row.
    alter table driver_node add column signed_order jsonb;
    grant update (signed_order) on driver_node to ${runtime};
  `,
};
