import type { Migration } from '../../migrate.ts';

export const restingKeys: Migration = {
  version: 14,
  name: 'keys that rest',
  needs: 2,
  sql: (runtime) => `
    -- Keys of which a request ended all workers that got it: what is asked of them is refused until then. Rows of keys that
    -- have rested are kept for a while, since the next rest is longer.
    create table resting_key (
      key_id text primary key,
      rests_until timestamptz not null,
      rest_ms integer not null
    );
    grant select, insert, update, delete on resting_key to ${runtime};
  `,
};
