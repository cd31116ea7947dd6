import type { WrappedKey } from '../wrapped-key.ts';
import { requireTag, tagged } from './tag.ts';
import type { Workbench } from './workbench.ts';

export interface KeyToMark {
  readonly row: WrappedKey;
  readonly status: WrappedKey['status'];
}

/** The same row with another status, tagged anew. @throws KEY_UNUSABLE when its tag does not hold; KEY_NOT_ON_SLOT */
export function markKey(bench: Workbench, { row, status }: KeyToMark): WrappedKey {
  requireTag(bench, row);
  return tagged(bench, { ...row, status });
}
