import type pg from 'pg';
import type { MovedKey } from '../../../shared/hsm-work.ts';
import { type Attempt, writeUnder } from '../../../shared/maintenance/attempt.ts';
import type { Rotation } from '../../../shared/rotation/rotation-rows.ts';
import type { JobRun } from '../job.ts';

/** Has the HSM make and prove each new row. */
export async function moveKeys(
  { hsm, signal }: JobRun,
  rotation: Rotation,
  keyIds: readonly string[],
): Promise<readonly MovedKey[]> {
  const { kind, fromId, toId } = rotation;
  switch (kind) {
    case 'master-key':
      return await hsm.ask<'rewrap-keys'>({ kind: 'rewrap-keys', keyIds, fromId, toId }, signal);
    case 'integrity-key':
      return await hsm.ask<'retag-keys'>({ kind: 'retag-keys', keyIds, fromId, toId }, signal);
    default:
      return kind satisfies never;
  }
}

/**
 * Changes each row only if it still is as it was read.
 * @returns how many rows changed; undefined when the rotation runs no more.
 * @throws AttemptOver
 */
export async function storeMoved(
  pool: pg.Pool,
  attempt: Attempt,
  { id, kind }: Rotation,
  answers: readonly MovedKey[],
): Promise<number | undefined> {
  const rows = answers.filter((one) => one.verdict === 'moved');
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
  const keyIds = rows.map((row) => row.keyId);
  const oldTags = rows.map((row) => bytes(row.oldTag));
  const tags = rows.map((row) => bytes(row.tag));
  const [text, values] =
    kind === 'master-key'
      ? [
          'rewrap_keys($4::uuid, $5::text[], $6::bytea[], $8::bytea[], $9::text[], $10::bigint[], $7::bytea[])',
          [
            rows.map((row) => bytes(row.blob)),
            rows.map((row) => row.wrapAlgorithm),
            rows.map((row) => row.wrapMechanism),
          ],
        ]
      : ['retag_keys($4::uuid, $5::text[], $6::bytea[], $7::bytea[])', []];
  const [answer] = await writeUnder<{ moved: string; running: boolean }>(
    pool,
    attempt,
    `select ${text} as moved, exists (select from rotation where id = $4 and state = 'running') as running from attempt`,
    [id, keyIds, oldTags, tags, ...values],
  );
  return answer?.running === true ? Number(answer.moved) : undefined;
}
