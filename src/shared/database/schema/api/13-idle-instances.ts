import type { Migration } from '../../migrate.ts';

export const idleInstances: Migration = {
  version: 13,
  name: 'instances that take nothing',
  needs: 2,
  sql: () => `
    -- Since when a worker that calls has neither taken requests nor held any: its HSM or its database is away, or its clock is
    -- doubtful. '-infinity': it never has. Null: it takes work, or an older version notes its calls.
    alter table driver_instance add column takes_nothing_since timestamptz;
  `,
};
