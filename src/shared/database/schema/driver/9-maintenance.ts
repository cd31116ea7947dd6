import type { Migration } from '../../migrate.ts';

export const maintenance: Migration = {
  version: 9,
  name: 'key audit, exchange of test keys, trimming of the journal',
  needs: 3,
  sql: (runtime) => `
    -- How far the audit of stored keys is in its round: keys are taken in the order of their ids.
    create table key_audit (
      singleton boolean primary key default true check (singleton),
      round integer not null default 1,
      round_started_at timestamptz not null default clock_timestamp(),
      -- The last key of the round that was checked; '' at its start.
      last_key text not null default '',
      checked bigint not null default 0,
      last_round_ended_at timestamptz
    );
    insert into key_audit default values;

    -- Keys that failed their last check; a key that holds again has no row.
    create table key_finding (
      key_id text primary key,
      verdict text not null,
      problem text not null,
      first_found_at timestamptz not null default clock_timestamp(),
      last_found_at timestamptz not null default clock_timestamp()
    );

    -- Keys that nobody uses, wrapped by one slot for every other slot to open (never a row of wrapped_key).
    create table test_key (
      id uuid primary key,
      node text not null,
      slot text not null,
      key jsonb not null,
      made_at timestamptz not null default clock_timestamp()
    );
    create table test_key_opening (
      test_key uuid not null references test_key on delete cascade,
      node text not null,
      slot text not null,
      -- Null: it cannot do this curve.
      opened boolean,
      -- The slot passed its own probe after it failed: the maker may be what is wrong.
      sound_itself boolean not null,
      problem text,
      at timestamptz not null default clock_timestamp(),
      primary key (test_key, node, slot)
    );

    -- Rows come in the order of their time: this index costs next to nothing.
    create index journal_by_time on journal using brin (signed_at) with (pages_per_range = 32, autosummarize = on);

    -- When the last backup was made, without reading the whole audit log.
    create index audit_backups on audit_entry (chain, sequence) where entry like '%"kind":"backup-made"%';

    -- The only way by which rows leave the journal. Younger ones may still be needed: a signature whose row is gone could be
    -- made a second time. The floor is this program's, whatever a node's configuration says.
    create function trim_journal(older_than interval, most integer) returns bigint language plpgsql security definer
      set search_path = public, pg_temp as $function$
    declare
      n bigint;
      m bigint;
    begin
      if older_than is null or older_than < interval '30 days' then
        raise exception 'journal rows are kept for 30 days at least' using errcode = 'check_violation';
      end if;
      delete from journal where request_id in (
        select request_id from journal where signed_at < clock_timestamp() - older_than limit least(most, 10000));
      get diagnostics n = row_count;
      delete from discarded_signature where id in (
        select id from discarded_signature where made_at < clock_timestamp() - older_than limit least(most, 10000));
      get diagnostics m = row_count;
      return n + m;
    end $function$;
    revoke execute on function trim_journal from public;
    grant execute on function trim_journal to ${runtime};

    grant select, update on key_audit to ${runtime};
    grant select, insert, update, delete on key_finding, test_key, test_key_opening to ${runtime};
  `,
};
