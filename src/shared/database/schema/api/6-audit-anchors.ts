import type { Migration } from '../../migrate.ts';

export const auditAnchors: Migration = {
  version: 6,
  name: 'audit anchors',
  needs: 2,
  sql: (runtime) => `
    -- Signed heads of the drivers' audit chains, as they came with calls of the driver protocol. Append-only: whoever cuts
    -- or rewrites a chain in the driver database does not reach what is kept here.
    create table audit_anchor (
      -- The instance: one worker process from its start to its end.
      chain uuid not null,
      sequence bigint not null,
      key_store text not null,
      node text not null,
      -- base64url; the signature is by the key store's attestation key and was checked.
      hash text not null,
      signature text not null,
      received_at timestamptz not null default now(),
      primary key (chain, sequence)
    );

    grant select, insert on audit_anchor to ${runtime};
  `,
};
