import type { Migration } from '../../migrate.ts';

export const auditLog: Migration = {
  version: 5,
  name: 'audit log',
  needs: 3,
  sql: (runtime) => `
    -- One hash chain for each process from its start to its end (src/shared/audit). Append-only: the runtime role can
    -- neither change nor delete what is here.
    create table audit_entry (
      chain uuid not null,
      sequence bigint not null check (sequence > 0),
      -- The line of JSON exactly as it was hashed.
      entry text not null,
      primary key (chain, sequence)
    );
    -- Which chains there are, without reading all of them.
    create index audit_chain on audit_entry (chain) where sequence = 1;

    grant select, insert on audit_entry to ${runtime};
  `,
};
