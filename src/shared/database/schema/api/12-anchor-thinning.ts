import type { Migration } from '../../migrate.ts';

export const anchorThinning: Migration = {
  version: 12,
  name: 'thinning of audit anchors',
  needs: 2,
  sql: (runtime) => `
    -- The only way by which heads leave this table: of those that are older than two days, each chain keeps the last of every
    -- day (UTC), so its newest in any case. A head speaks for all entries before it: what goes was said by a later one too.
    -- One caller at a time; the others are answered 0.
    create function thin_audit_anchors(most integer) returns bigint language plpgsql security definer
      set search_path = public, pg_temp as $function$
    declare
      n bigint;
    begin
      if not pg_try_advisory_xact_lock(hashtextextended('hsm-driver thin audit anchors', 0)) then return 0; end if;
      delete from audit_anchor where (chain, sequence) in (
        select old.chain, old.sequence from audit_anchor old
        cross join lateral (
          select received_at from audit_anchor where chain = old.chain and sequence > old.sequence
          order by sequence limit 1
        ) as later
        where old.received_at < clock_timestamp() - interval '2 days'
          and (later.received_at at time zone 'UTC')::date = (old.received_at at time zone 'UTC')::date
        limit least(most, 10000));
      get diagnostics n = row_count;
      return n;
    end $function$;
    revoke execute on function thin_audit_anchors from public;
    grant execute on function thin_audit_anchors to ${runtime};
  `,
};
