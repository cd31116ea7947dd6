import type { Log } from '../../shared/log.ts';
import type { DriverDatabase } from '../database.ts';
import type { DeviceJudge } from '../device-judge.ts';
import type { HsmCalls, MovingCalls } from '../jobs/hsm-calls.ts';
import type { SlotState } from '../slot-state.ts';
import type { Pace } from './pace.ts';

/** What maintenance works with on this slot. */
export interface Bench {
  readonly hsm: HsmCalls;
  readonly moving: MovingCalls;
  readonly database: DriverDatabase;
  /** Faults that maintenance meets are faults of the slot. */
  readonly device: Pick<DeviceJudge, 'judge'>;
  readonly state: SlotState;
  readonly pace: Pace;
  readonly log: Log;
}
