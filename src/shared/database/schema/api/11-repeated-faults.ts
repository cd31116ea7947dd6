import type { Migration } from '../../migrate.ts';

export const repeatedFaults: Migration = {
  version: 11,
  name: 'requests that go in circles',
  needs: 2,
  sql: (runtime) => `
    -- How often a slot failed again at a request that it had handed back before, and until when those that handed it back
    -- leave it alone.
    alter table request add column repeated_faults smallint not null default 0, add column rests_until timestamptz;
    grant update (repeated_faults, rests_until) on request to ${runtime};
  `,
};
