import { type CheckedKey, largestHsmBatch } from '../../../shared/hsm-work.ts';
import { namedKeys } from '../../../shared/maintenance/named-keys.ts';
import type { Job } from '../job.ts';

/** Opens the keys that somebody names, now, as the audit of all keys would in its time. Marks nothing. */
export const checkNamedKeys: Job = async ({ data, hsm, signal, progress }) => {
  const { keyIds } = namedKeys.parse(data);
  const checked: CheckedKey[] = [];
  for (let at = 0; at < keyIds.length; at += largestHsmBatch) {
    checked.push(...(await hsm.ask({ kind: 'check-keys', keyIds: keyIds.slice(at, at + largestHsmBatch) }, signal)));
    await progress({ keys: keyIds.length, checked: checked.length });
  }
  const holds = checked.filter(({ verdict }) => verdict === 'holds').length;
  return { facts: { keys: keyIds.length, checked: checked.length, holds }, alarms: [], details: checked };
};
