import type { Schema } from '../migrate.ts';

/** The driver database: wrapped keys, the journal, what is known of PINs. One per key store, shared by all its nodes. */
export const driverSchema: Schema = {
  purpose: 'driver',
  oldest: 2,
  migrations: [
    {
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
    },
    {
      version: 2,
      name: 'PIN attempts',
      sql: (runtime) => `
        -- What the cluster knows of each PIN on each token (src/worker/pin-guard). Never the PIN: eight bytes of a scrypt.
        create table pin_attempt (
          -- Devices that share a PIN counter; a token's serial number where nothing is configured.
          guard_group text not null,
          token_serial text not null,
          pin_version bytea not null check (length(pin_version) = 8),
          state text not null check (state in ('trying', 'refused', 'succeeded', 'uncertain', 'cleared')),
          -- Who made the latest attempt, and how it ended.
          attempt uuid not null,
          token_label text not null,
          node text not null,
          slot text not null,
          instance uuid not null,
          started_at timestamptz not null default now(),
          -- A process that tries says that it lives; one that stops saying so has failed.
          alive_until timestamptz not null default now(),
          ended_at timestamptz,
          reason text not null default '',
          primary key (guard_group, token_serial, pin_version)
        );

        -- One first attempt at a time on everything that shares a counter, whatever the processes believe.
        create unique index pin_attempt_one_at_a_time on pin_attempt (guard_group) where state = 'trying';

        grant select, insert, update, delete on pin_attempt to ${runtime};
      `,
    },
    {
      version: 3,
      name: 'nodes, leader and turns',
      sql: (runtime) => `
        -- One row for each node, written by its primary each second. Whether a node is dead is computed from seen_at, by
        -- whoever wants to know: database time on both sides, no clock of a node counts.
        create table node (
          node text primary key,
          instance uuid not null,
          version text not null,
          -- What its slots are doing; for people and for the leader's verdict.
          slots jsonb not null,
          seen_at timestamptz not null default clock_timestamp()
        );

        -- The lease of the cluster's leader: one row, always there. Whatever a leader writes names holder and epoch in
        -- the same statement, so that one who was paused and does not know it yet writes nothing.
        create table leader (
          singleton boolean primary key default true check (singleton),
          holder uuid not null,
          node text not null,
          epoch integer not null,
          until timestamptz not null,
          verdict jsonb
        );
        insert into leader (holder, node, epoch, until)
          values ('00000000-0000-0000-0000-000000000000', '', 0, '-infinity');

        -- Who waits to reconnect to an HSM or to replace a worker: the leader grants one at a time of each purpose.
        create table turn (
          purpose text not null,
          instance uuid not null,
          slot text not null,
          node text not null,
          asked_at timestamptz not null default clock_timestamp(),
          seen_at timestamptz not null default clock_timestamp(),
          granted_at timestamptz,
          epoch integer,
          primary key (purpose, instance, slot)
        );

        grant select, insert, update, delete on node, turn to ${runtime};
        grant select, update on leader to ${runtime};
      `,
    },
  ],
};
