import type { AuditChain } from '../../shared/audit/chain.ts';
import type { Log } from '../../shared/log.ts';
import type { DriverDatabase } from '../database.ts';
import type { DeviceJudge } from '../device-judge.ts';
import type { Hsm } from '../hsm/hsm.ts';
import type { MovingCalls } from '../jobs/hsm-calls.ts';
import type { SlotState } from '../slot-state.ts';
import type { Pace } from './pace.ts';

/** What maintenance asks of the HSM; each item is answered, or the call is rejected when the slot's threads are gone. */
export type MaintenanceHsm = Pick<Hsm, 'checkTags' | 'inspect' | 'mark' | 'generateKeys'>;

/** What maintenance works with on this slot. */
export interface Bench {
  readonly keyStore: string;
  readonly hsm: MaintenanceHsm;
  readonly moving: MovingCalls;
  readonly database: DriverDatabase;
  /** A rotation slot keeps none: nothing that it does stands without its job. */
  readonly audit?: AuditChain;
  /** Faults that maintenance meets are faults of the slot. */
  readonly device: Pick<DeviceJudge, 'judge'>;
  readonly state: SlotState;
  readonly pace: Pace;
  readonly log: Log;
}
