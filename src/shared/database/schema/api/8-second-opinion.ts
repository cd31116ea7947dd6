import type { Migration } from '../../migrate.ts';

export const secondOpinion: Migration = {
  version: 8,
  name: 'a second slot before a key counts as broken',
  needs: 2,
  sql: (runtime) => `
    -- The slot (node/slot) whose healthy HSM did not open the request's key. Only when another one says the same, or
    -- there is no other one, has the request failed.
    alter table request add column not_opened_at text;
    grant update (not_opened_at) on request to ${runtime};
  `,
};
