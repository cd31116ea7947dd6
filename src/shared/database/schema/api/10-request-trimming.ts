import type { Migration } from '../../migrate.ts';

export const requestTrimming: Migration = {
  version: 10,
  name: 'trimming of requests',
  needs: 2,
  sql: (runtime) => `
    -- Rows come in the order of their time: this index costs next to nothing.
    create index request_by_time on request using brin (created_at) with (pages_per_range = 32, autosummarize = on);

    -- The only way by which requests leave this database: final ones, not those that made a key, and none that is younger
    -- than thirty days, whatever a process's configuration says. One caller at a time; the others are answered 0.
    create function trim_requests(older_than interval, most integer) returns bigint language plpgsql security definer
      set search_path = public, pg_temp as $function$
    declare
      n bigint;
    begin
      if older_than is null or older_than < interval '30 days' then
        raise exception 'requests are remembered for 30 days at least' using errcode = 'check_violation';
      end if;
      if not pg_try_advisory_xact_lock(hashtextextended('hsm-driver trim requests', 0)) then return 0; end if;
      delete from request where id in (
        select id from request where created_at < clock_timestamp() - older_than
          and state in ('signed', 'failed', 'cancelled') and kind <> 'GenerateKey' limit least(most, 10000));
      get diagnostics n = row_count;
      delete from driver_instance where id in (
        select i.id from driver_instance i where i.ended_at < clock_timestamp() - interval '30 days'
          and not exists (select from request r where r.instance = i.id) limit least(most, 10000));
      return n;
    end $function$;
    revoke execute on function trim_requests from public;
    grant execute on function trim_requests to ${runtime};
  `,
};
