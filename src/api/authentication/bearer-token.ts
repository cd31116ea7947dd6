import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
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

/**
 * Who calls. The lookup by hash takes the same time for every wrong token.
 * @param header the Authorization header.
 * @throws NOT_AUTHENTICATED, without saying why.
 */
export async function authenticate(pool: pg.Pool, header: string | undefined): Promise<Requester> {
  const token = header !== undefined && header.length <= longestHeader ? scheme.exec(header)?.[1] : undefined;
  const requester = token === undefined ? undefined : await findRequester(pool, bearerTokenHash(token));
  if (requester === undefined) throw new CodedError('NOT_AUTHENTICATED', '');
  return requester;
}

async function findRequester(pool: pg.Pool, tokenHash: Buffer): Promise<Requester | undefined> {
  const { rows } = await pool.query<{ organisation: string; service_account: string; access_token: string }>(
    `select account.organisation, account.id as service_account, token.id as access_token
     from access_token token join service_account account on account.id = token.service_account
     where token.token_sha256 = $1 and token.active and token.expires_at > now() and account.active`,
    [tokenHash],
  );
  const row = rows[0];
  return row && { organisation: row.organisation, serviceAccount: row.service_account, accessToken: row.access_token };
}
