import type { Migration } from '../../migrate.ts';

export const pinAttempts: Migration = {
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
};
