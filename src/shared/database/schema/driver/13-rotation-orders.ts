import type { Migration } from '../../migrate.ts';

/**
 * What makes one order of the operators start or resume one rotation, once: nodes obey the orders they find here, and
 * whoever may write rows could otherwise have an aborted or paused rotation go on, or have one begin again.
 */
export const rotationOrders: Migration = {
  version: 13,
  name: 'rotation orders',
  needs: 3,
  sql: (runtime) => `
    -- How often it went on after a pause, and by which order of the operators it did last.
    alter table rotation add column resumes integer not null default 0, add column resumed_by jsonb;

    -- Text as the order has it. One order resumes once.
    create table rotation_resume_order (
      order_id text primary key,
      rotation uuid not null references rotation
    );

    create function refuse_rotation_step() returns trigger language plpgsql security definer
      set search_path = public, pg_temp as $function$
    begin
      if new.state <> old.state and (old.state, new.state) not in (
        ('running', 'paused'), ('running', 'aborted'), ('running', 'finished'),
        ('paused', 'running'), ('paused', 'aborted'), ('finished', 'destroyed')
      ) then
        raise exception 'a rotation that is % does not become %', old.state, new.state using errcode = 'check_violation';
      end if;
      if old.state = 'paused' and new.state = 'running' then
        new.resumes := old.resumes + 1;
        if new.resumed_by is not null then
          insert into rotation_resume_order (order_id, rotation) values (new.resumed_by -> 'order' ->> 'id', new.id);
        end if;
      elsif new.resumes <> old.resumes or new.resumed_by is distinct from old.resumed_by then
        raise exception 'only the step from paused to running resumes a rotation' using errcode = 'check_violation';
      end if;
      return new;
    end $function$;
    create trigger refuse_rotation_step before update on rotation
      for each row execute function refuse_rotation_step();

    -- A row says what shall begin: how far it is, and that it was resumed, is said by what does it.
    revoke insert on rotation from ${runtime};
    grant insert (id, kind, from_id, to_id, signed_order, state, total) on rotation to ${runtime};
    grant update (resumed_by) on rotation to ${runtime};
    -- For backups; it is written by the trigger alone.
    grant select on rotation_resume_order to ${runtime};
  `,
};
