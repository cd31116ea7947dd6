import type pg from 'pg';

/** A request that failed for good. A Sign among them is never tried again by an operator: its caller decides that. */
export interface FailedRequest {
  readonly id: string;
  readonly kind: string;
  readonly organisation: string;
  readonly keyId: string;
  /** A code of the catalogue, EXPIRED or ATTEMPTS_EXHAUSTED. */
  readonly code: string;
  readonly reason: string;
  readonly attempts: number;
  readonly createdAt: Date;
  readonly failedAt: Date;
}

/** The newest first. */
export async function readFailedRequests(pool: pg.Pool, limit: number): Promise<FailedRequest[]> {
  const { rows } = await pool.query<FailedRequest>(
    `select id, kind, organisation, key_id as "keyId", coalesce(error_code, '') as code,
       coalesce(error_message, '') as reason, attempts, created_at as "createdAt", done_at as "failedAt"
     from request where state = 'failed' order by done_at desc limit $1`,
    [limit],
  );
  return rows;
}
