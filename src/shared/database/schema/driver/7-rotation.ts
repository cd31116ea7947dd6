import type { Migration } from '../../migrate.ts';

export const rotation: Migration = {
  version: 7,
  name: 'key rotation',
  needs: 3,
  sql: (runtime) => `
    -- What people asked for, and how far it is. A hint without authority: which keys there are says each node's
    -- configuration, and what a row is says its tag.
    create table rotation (
      id uuid primary key,
      kind text not null check (kind in ('master-key', 'integrity-key')),
      from_id text not null,
      to_id text not null check (to_id <> from_id),
      state text not null check (state in ('running', 'paused', 'aborted', 'finished', 'destroyed')),
      -- Rows under the old key when it started, and rows that were moved since.
      total bigint not null,
      moved bigint not null default 0,
      -- Ids of keys that could not be moved when they were last tried, at most a hundred of them.
      stuck text[] not null default '{}',
      -- What the finishing statement counted.
      proof jsonb,
      -- The operators' order to start it, where the configuration names operators: who moves rows verifies it again.
      signed_order jsonb,
      started_at timestamptz not null default clock_timestamp(),
      changed_at timestamptz not null default clock_timestamp()
    );
    create unique index rotation_one_at_a_time on rotation ((true)) where state in ('running', 'paused');

    -- Keys that no new row may name: a node that slept through a rotation must not bring the old key back.
    create table retired_key (
      id text primary key,
      rotation uuid not null references rotation,
      retired_at timestamptz not null default clock_timestamp()
    );

    -- What a rotation of the master key replaced, until the old key is destroyed.
    create table replaced_blob (
      rotation uuid not null references rotation,
      key_id text not null,
      blob bytea not null,
      wrap_algorithm text not null,
      wrap_mechanism bigint not null,
      master_key_id text not null,
      integrity_key_id text not null,
      tag bytea not null,
      primary key (rotation, key_id)
    );

    create index wrapped_key_by_master_key on wrapped_key (master_key_id, key_id);
    create index wrapped_key_by_integrity_key on wrapped_key (integrity_key_id, key_id);

    create function refuse_retired_key() returns trigger language plpgsql security definer
      set search_path = public, pg_temp as $function$
    begin
      if exists (select from retired_key where id in (new.master_key_id, new.integrity_key_id)) then
        raise exception 'the key % or % was retired by a rotation', new.master_key_id, new.integrity_key_id
          using errcode = 'check_violation';
      end if;
      return new;
    end $function$;
    create trigger refuse_retired_key before insert or update of master_key_id, integrity_key_id on wrapped_key
      for each row execute function refuse_retired_key();

    -- Workers cannot rewrite blobs, except through this, and only from the old key of a running rotation to its new one.
    -- Each row changes only if it is still as it was read: its tag says all of it.
    create function rewrap_keys(the_rotation uuid, key_ids text[], old_tags bytea[], blobs bytea[], wrap_algorithms text[],
      wrap_mechanisms bigint[], tags bytea[]) returns bigint language plpgsql security definer
      set search_path = public, pg_temp as $function$
    declare
      r rotation%rowtype;
      n bigint;
    begin
      select * into r from rotation where id = the_rotation and kind = 'master-key' and state = 'running' for update;
      if not found then return 0; end if;
      with given as (
        select * from unnest(key_ids, old_tags, blobs, wrap_algorithms, wrap_mechanisms, tags)
          as g (key_id, old_tag, blob, wrap_algorithm, wrap_mechanism, tag)
      ), old as (
        select k.* from wrapped_key k join given g using (key_id)
        where k.master_key_id = r.from_id and k.tag = g.old_tag and k.status <> 'deleted'
        order by k.key_id for update of k
      ), kept as (
        insert into replaced_blob select r.id, key_id, blob, wrap_algorithm, wrap_mechanism, master_key_id,
          integrity_key_id, tag from old on conflict do nothing
      )
      update wrapped_key k set blob = g.blob, wrap_algorithm = g.wrap_algorithm, wrap_mechanism = g.wrap_mechanism,
        master_key_id = r.to_id, tag = g.tag
      from given g join old on old.key_id = g.key_id where k.key_id = g.key_id;
      get diagnostics n = row_count;
      update rotation set moved = moved + n, changed_at = clock_timestamp() where id = r.id;
      return n;
    end $function$;

    create function retag_keys(the_rotation uuid, key_ids text[], old_tags bytea[], tags bytea[]) returns bigint
      language plpgsql security definer set search_path = public, pg_temp as $function$
    declare
      r rotation%rowtype;
      n bigint;
    begin
      select * into r from rotation where id = the_rotation and kind = 'integrity-key' and state = 'running' for update;
      if not found then return 0; end if;
      with given as (
        select * from unnest(key_ids, old_tags, tags) as g (key_id, old_tag, tag)
      ), old as (
        select k.key_id from wrapped_key k join given g using (key_id)
        where k.integrity_key_id = r.from_id and k.tag = g.old_tag
        order by k.key_id for update of k
      )
      update wrapped_key k set integrity_key_id = r.to_id, tag = g.tag
      from given g join old on old.key_id = g.key_id where k.key_id = g.key_id;
      get diagnostics n = row_count;
      update rotation set moved = moved + n, changed_at = clock_timestamp() where id = r.id;
      return n;
    end $function$;

    -- The end: no insert is under way (the lock waits for each), one statement counts, and what it counted is kept. From
    -- then on no row can name the old key. A deleted key stays under the old master key: destroying that is its end.
    create function finish_rotation(the_rotation uuid) returns jsonb language plpgsql security definer
      set search_path = public, pg_temp set lock_timeout = '5s' as $function$
    declare
      r rotation%rowtype;
      found_rows jsonb;
    begin
      select * into r from rotation where id = the_rotation and state = 'running' for update;
      if not found then return null; end if;
      lock table wrapped_key in share mode;
      select jsonb_build_object(
          'underOldKey', count(*) filter (where old_key and (r.kind = 'integrity-key' or status <> 'deleted')),
          'deletedUnderOldKey', count(*) filter (where old_key and r.kind = 'master-key' and status = 'deleted'),
          'underNewKey', count(*) filter (where new_key),
          'underOtherKeys', count(*) filter (where not old_key and not new_key),
          'at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        into found_rows
        from (select status, id = r.from_id as old_key, id = r.to_id as new_key
          from (select status, case r.kind when 'master-key' then master_key_id else integrity_key_id end as id
            from wrapped_key) as named) as counted;
      if (found_rows ->> 'underOldKey')::bigint = 0 then
        update rotation set state = 'finished', proof = found_rows, stuck = '{}', changed_at = clock_timestamp()
          where id = r.id;
        insert into retired_key (id, rotation) values (r.from_id, r.id) on conflict (id) do nothing;
      end if;
      return found_rows;
    end $function$;

    -- After the old key was destroyed on every token: what it had wrapped is of no use to anybody.
    create function forget_replaced_blobs(the_rotation uuid) returns bigint language plpgsql security definer
      set search_path = public, pg_temp as $function$
    declare
      n bigint;
    begin
      perform from rotation where id = the_rotation and state = 'destroyed';
      if not found then return 0; end if;
      delete from replaced_blob where rotation = the_rotation;
      get diagnostics n = row_count;
      return n;
    end $function$;

    revoke execute on function rewrap_keys, retag_keys, finish_rotation, forget_replaced_blobs from public;
    grant execute on function rewrap_keys, retag_keys, finish_rotation, forget_replaced_blobs to ${runtime};
    grant select, insert on rotation to ${runtime};
    grant update (state, stuck, changed_at) on rotation to ${runtime};
    grant select, delete on retired_key to ${runtime};
    grant select on replaced_blob to ${runtime};
  `,
};
