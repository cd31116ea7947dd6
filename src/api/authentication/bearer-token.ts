import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { type Allowed, allowed } from '../permissions/operations.ts';
import type { Requester } from '../queue/request.ts';

/**
 * Bearer tokens of service accounts. They look like a JWT, because the SDK's `orgId` option reads the organisation from
 * the middle part; but nothing in them is believed: a token is 32 random bytes at its end, and valid if and only if the
 * SHA-256 of the whole string is in `access_token`, active and not expired.
 */
export interface TokenOwner {
  readonly organisation: string;
  readonly serviceAccount: string;
  readonly accessToken: string;
  readonly expiresAt: Date;
}

/** The claim in which the Dfns SDK looks for `orgId`. */
const metadataClaim = 'https://custom/app_metadata';
const scheme = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43})$/i;
const longestHeader = 4096;

/** A new token: shown once, then only its hash is kept. */
export function newBearerToken({ organisation, serviceAccount, accessToken, expiresAt }: TokenOwner): string {
  const claims = {
    sub: organisation,
    exp: Math.floor(expiresAt.getTime() / 1000),
    [metadataClaim]: { orgId: organisation, userId: serviceAccount, tokenId: accessToken, tokenKind: 'ServiceAccount' },
  };
  const parts = [{ typ: 'opaque' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  return [...parts, randomBytes(32).toString('base64url')].join('.');
}

/** What is kept of a token: 32 bytes. */
export function bearerTokenHash(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** Who calls, and what the account may do. */
export interface Caller {
  readonly requester: Requester;
  readonly allowed: Allowed;
  /** Of the organisation when this was read: it changes when anybody's rights do. */
  readonly rightsVersion: string;
}

/**
 * What a call's Authorization header says, before anybody is asked whether it is true: the SHA-256 of the token.
 * @throws NOT_AUTHENTICATED, without saying why
 */
export function presentedToken(header: string | undefined): Buffer {
  const token = header !== undefined && header.length <= longestHeader ? scheme.exec(header)?.[1] : undefined;
  if (token === undefined) throw new CodedError('NOT_AUTHENTICATED', '');
  return bearerTokenHash(token);
}

interface CallerRecord {
  readonly organisation: string;
  readonly service_account: string;
  readonly access_token: string;
  readonly assigned: string[];
  readonly own: string[];
  /** bigint: text on the wire. */
  readonly rights_version: string;
}

/**
 * The lookup by hash takes the same time for every wrong token.
 * @throws NOT_AUTHENTICATED
 */
export async function readCaller(pool: pg.Pool, tokenHash: Buffer): Promise<Caller> {
  const { rows } = await pool.query<CallerRecord>({ ...callerOfToken, values: [tokenHash] });
  const row = rows[0];
  if (row === undefined) throw new CodedError('NOT_AUTHENTICATED', '');
  return {
    requester: {
      organisation: row.organisation,
      serviceAccount: row.service_account,
      accessToken: row.access_token,
    },
    allowed: allowed(row.assigned, row.own),
    rightsVersion: row.rights_version,
  };
}

const callerOfToken = {
  name: 'api_caller_of_token',
  text: `select account.organisation, account.id as service_account, token.id as access_token,
       organisation.rights_version,
       array(select permission from permission_assignment where service_account = account.id) as assigned,
       array(select unnest(permission.operations)
         from permission_assignment assignment join permission on permission.id = assignment.permission
         where assignment.service_account = account.id and permission.organisation = account.organisation
           and not permission.archived) as own
     from access_token token join service_account account on account.id = token.service_account
       join organisation on organisation.id = account.organisation
     where token.token_sha256 = $1 and token.active and token.expires_at > now() and account.active`,
};
