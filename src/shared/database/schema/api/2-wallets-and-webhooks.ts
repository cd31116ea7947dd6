import type { Migration } from '../../migrate.ts';

/** Wallets, permissions, webhooks, the audit log, and the drivers that were put on the list by command. */
export const walletsAndWebhooks: Migration = {
  version: 2,
  name: 'wallets, permissions, webhooks, audit, listed drivers',
  sql: (runtime) => `
    alter table service_account add column external_id text, add column archived_at timestamptz;
    alter table credential add column name text not null default '';
    -- The credential that was made with the token; null: the account's oldest.
    alter table access_token add column credential text references credential;
    alter table key add column archived_at timestamptz;

    -- Sets of operations that an organisation made itself; the built-in ones are in the program.
    create table permission (
      id text primary key,
      organisation text not null references organisation,
      name text not null,
      operations text[] not null,
      archived boolean not null default false,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index on permission (organisation, created_at);
    create table permission_assignment (
      id text primary key,
      service_account text not null references service_account,
      -- Built-in or of this organisation.
      permission text not null,
      created_at timestamptz not null default now(),
      unique (service_account, permission)
    );
    -- Accounts of version 1 could do everything, and still can.
    insert into permission_assignment (id, service_account, permission)
      select 'as-' || substr(md5(id), 1, 5) || '-' || substr(md5(id), 6, 5) || '-' || substr(md5(id), 11, 16), id,
        'pm-built-inset-fullaccess000000'
      from service_account;

    create table wallet (
      id text primary key,
      organisation text not null references organisation,
      network text not null,
      key_id text not null references key,
      name text,
      external_id text,
      tags text[] not null default '{}',
      status text not null default 'Active' check (status in ('Active', 'Archived')),
      created_at timestamptz not null default now(),
      archived_at timestamptz,
      -- Its address is not here: it is derived from the attested public key whenever it is shown.
      unique (key_id, network)
    );
    create index on wallet (organisation, created_at);

    -- A wallet's signature names its wallet. A GenerateKey for a wallet holds the wallet to be: whoever gets the
    -- outcome writes the wallet from this row.
    alter table request add column wallet_id text, add column wallet jsonb;
    create index request_of_key on request (key_id, created_at) where kind = 'Sign';
    -- What was asked, by whom, and what their credential signed is an audit record: only what the queue changes
    -- may be changed.
    revoke update on request from ${runtime};
    grant update (priority, turn, state, attempts, deliveries, given_back, instance, lease, lease_until, public_key,
      signatures, error_code, error_message, expires_at, done_at) on request to ${runtime};

    -- Calls that change something without the queue. user_action is consumed by the insert.
    create table audit_event (
      user_action text primary key,
      organisation text not null references organisation,
      service_account text not null,
      access_token text not null,
      -- method, path, payload, credentialId, clientData, signature: as the credential signed it.
      authorisation jsonb not null,
      -- Id of what was made or changed.
      effect text not null,
      created_at timestamptz not null default now()
    );
    create index on audit_event (organisation, created_at);
    create view audit_log as
      select user_action, organisation, service_account, access_token, authorisation, 
        case when kind = 'GenerateKey' then coalesce(wallet_id, id) else id end as effect, created_at from request
      union all
      select user_action, organisation, service_account, access_token, authorisation, effect, created_at from audit_event;

    create table webhook (
      id text primary key,
      organisation text not null references organisation,
      url text not null,
      events text[] not null,
      description text,
      enabled boolean not null default true,
      -- AES-256-GCM under a key that the database does not have.
      sealed_secret bytea not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index on webhook (organisation, created_at);

    -- The outbox: one row per webhook and event, written with what it tells of. What is told is read when it is sent.
    create function new_webhook_event_id() returns text language sql volatile as $$
      select 'whe-' || substr(hex, 1, 5) || '-' || substr(hex, 6, 5) || '-' || substr(hex, 11, 16)
      from replace(gen_random_uuid()::text, '-', '') as made (hex)
    $$;
    create table webhook_event (
      id text primary key default new_webhook_event_id(),
      webhook text not null references webhook on delete cascade,
      kind text not null,
      -- Id of the key, the wallet, or the signature request.
      subject text not null,
      attempts smallint not null default 0,
      -- Null when nothing more is to be done.
      next_attempt_at timestamptz default now(),
      sent_at timestamptz,
      -- HTTP status of the last attempt, null when there was no answer.
      http_status smallint,
      error text,
      created_at timestamptz not null default now()
    );
    create index on webhook_event (webhook, created_at);
    create index webhook_event_due on webhook_event (webhook, next_attempt_at) where next_attempt_at is not null;

    -- Triggers, so that an event is in the transaction of its cause, whichever statement that is.
    create function raise_webhook_event() returns trigger language plpgsql as $$
    begin
      insert into webhook_event (webhook, kind, subject)
        select id, tg_argv[0], new.id from webhook
        where organisation = new.organisation and enabled and events && array[tg_argv[0], '*'];
      return null;
    end $$;
    create function raise_requested_events() returns trigger language plpgsql as $$
    begin
      insert into webhook_event (webhook, kind, subject)
        select webhook.id, 'wallet.signature.requested', fresh.id
        from fresh join webhook using (organisation)
        where fresh.kind = 'Sign' and enabled and events && array['wallet.signature.requested', '*'];
      return null;
    end $$;
    create trigger requested after insert on request referencing new table as fresh
      for each statement execute function raise_requested_events();
    create trigger signed after update on request for each row
      when (old.state <> 'signed' and new.state = 'signed')
      execute function raise_webhook_event('wallet.signature.signed');
    create trigger failed after update on request for each row
      when (new.kind = 'Sign' and old.state <> 'failed' and new.state = 'failed')
      execute function raise_webhook_event('wallet.signature.failed');
    create trigger key_created after insert on key for each row execute function raise_webhook_event('key.created');
    create trigger key_deleted after update on key for each row
      when (old.status <> 'Archived' and new.status = 'Archived') execute function raise_webhook_event('key.deleted');
    create trigger wallet_created after insert on wallet for each row
      execute function raise_webhook_event('wallet.created');

    -- Driver nodes beside those in the configuration; a row with revoked_at also revokes one of those.
    create table driver_node (
      name text primary key,
      key_store text not null,
      -- How its certificate is known: SHA-256 of the certificate (hex), a DNS name of its SAN, or (both null) the common name.
      certificate_sha256 text,
      san text,
      added_at timestamptz not null default now(),
      revoked_at timestamptz
    );

    grant select on audit_log, permission, permission_assignment, wallet, audit_event, webhook, webhook_event, driver_node to ${runtime};
    grant insert on permission, permission_assignment, wallet, audit_event, webhook, webhook_event, driver_node to ${runtime};
    grant update (name, external_id, archived_at) on service_account to ${runtime};
    grant update (archived_at) on key to ${runtime};
    grant update (name, operations, archived, updated_at) on permission to ${runtime};
    grant delete on permission_assignment, webhook, webhook_event to ${runtime};
    grant update (name, external_id, tags, status, archived_at) on wallet to ${runtime};
    grant update (url, events, description, enabled, updated_at) on webhook to ${runtime};
    grant update (attempts, next_attempt_at, sent_at, http_status, error) on webhook_event to ${runtime};
    grant update (key_store, certificate_sha256, san, added_at, revoked_at) on driver_node to ${runtime};
  `,
};
