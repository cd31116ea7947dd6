import type { PinRecord } from '../ceremony/log-in-once.ts';
import type { SlotConfiguration } from '../shared/configuration/sections.ts';
import type { CeremonyKey } from '../worker/hsm/delivery/keys.ts';

/** What `retire` asks of the process that owns the token. */
export interface RetireCalls {
  /** The one login. @throws PIN_REFUSED, PIN_NOT_TRIED, TOKEN_… */
  open: { ask: { slot: SlotConfiguration; record: PinRecord }; answer: { label: string; serial: string } };
  /** How many of these keys' objects are on the token. */
  count: { ask: readonly CeremonyKey[]; answer: number };
  /** Destroys them. Answers how many it destroyed, and how many are left. */
  destroy: { ask: readonly CeremonyKey[]; answer: { destroyed: number; left: number } };
}
