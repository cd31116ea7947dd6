import type { Migration } from '../../migrate.ts';

export const nodesAndLeader: Migration = {
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
};
