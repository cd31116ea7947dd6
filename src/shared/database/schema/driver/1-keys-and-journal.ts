import type { Migration } from '../../migrate.ts';

export const keysAndJournal: Migration = {
  version: 1,
  name: 'wrapped keys and journal',
  sql: (runtime) => `
    create table wrapped_key (
      key_id text primary key,
      -- Never trimmed: the same request, delivered again years later, still answers the same key.
      request_id text not null unique,
      key_store text not null,
      organisation text not null,
      scheme text not null,
      curve text not null,
      public_key bytea not null,
      blob bytea not null,
      wrap_algorithm text not null,
      wrap_mechanism bigint not null,
      master_key_id text not null,
      integrity_key_id text not null,
      allowed_kinds text[] not null,
      status text not null check (status in ('active', 'broken', 'deleted')),
      tag bytea not null,
      attestation bytea not null,
      created_at timestamptz not null default now()
    );

    -- What was done for each request: written before a signature is released, the stored row wins.
    create table journal (
      request_id text primary key,
      key_id text not null,
      -- SHA-256 of what was to be signed: the same id with another digest is refused.
      payload_digest bytea not null,
      -- 64 bytes r‖s each; recids beside them, -1 where the curve has none.
      signatures bytea[] not null,
      recids smallint[] not null,
      slot text not null,
      instance uuid not null,
      master_key_id text not null,
      signed_at timestamptz not null default now()
    );

    -- Signatures that were made and thrown away because the journal held one already, or because they were wrong.
    create table discarded_signature (
      id bigint generated always as identity primary key,
      request_id text not null,
      payload_digest bytea not null,
      reason text not null,
      slot text not null,
      instance uuid not null,
      made_at timestamptz not null default now()
    );

    grant select, insert on wrapped_key, journal, discarded_signature to ${runtime};
    grant update (status, tag) on wrapped_key to ${runtime};
  `,
};
