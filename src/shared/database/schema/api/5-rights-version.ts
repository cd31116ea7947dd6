import type { Migration } from '../../migrate.ts';

/**
 * A number that changes with what anybody of an organisation may do. A process that read an account's rights before
 * finds out, in the statement that has their effect, whether they still hold.
 */
export const rightsVersion: Migration = {
  version: 5,
  name: 'version of rights',
  needs: 2,
  sql: (runtime) => `
    alter table organisation add column rights_version bigint not null default 0;
    create function change_rights() returns trigger language plpgsql as $$
    begin
      if tg_table_name = 'permission' then
        update organisation set rights_version = rights_version + 1
          where id = coalesce(new.organisation, old.organisation);
      else
        update organisation set rights_version = rights_version + 1
          where id = (select organisation from service_account where id = coalesce(new.service_account, old.service_account));
      end if;
      return null;
    end $$;
    create trigger rights_changed after insert or update or delete on permission
      for each row execute function change_rights();
    create trigger rights_changed after insert or update or delete on permission_assignment
      for each row execute function change_rights();
    -- By the trigger. Whoever writes it otherwise only makes processes read again.
    grant update (rights_version) on organisation to ${runtime};
  `,
};
