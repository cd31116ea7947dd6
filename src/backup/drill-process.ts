import { randomUUID } from 'node:crypto';
import { serveParent } from '../ceremony/child.ts';
import { createPool } from '../shared/database/pool.ts';
import { CodedError } from '../shared/errors.ts';
import { readKeyRing } from '../shared/key-ring-files.ts';
import { createLog } from '../shared/log.ts';
import { createDriverDatabase } from '../worker/database.ts';
import { openHsm } from '../worker/hsm/session-threads.ts';
import { answeringMoves } from '../worker/jobs/hsm-calls.ts';
import type { Bench } from '../worker/maintenance/bench.ts';
import { checkKeys } from '../worker/maintenance/check-keys.ts';
import { createPace } from '../worker/maintenance/pace.ts';
import { openLocalResults } from '../worker/pin-guard/local-results.ts';
import { createPinGuard } from '../worker/pin-guard/pin-guard.ts';
import { createSlotState } from '../worker/slot-state.ts';
import type { DrillCalls } from './calls.ts';

/**
 * Entry of the process that owns the spare HSM during a drill. It opens the slot as a worker does, with the same guard for
 * its PIN, and checks keys as maintenance does; it takes no work and changes no key.
 */
let bench: Bench | undefined;

async function open({ configuration, slot: name }: DrillCalls['open']['ask']): Promise<DrillCalls['open']['answer']> {
  const { node, stateDirectory } = configuration;
  const slot = configuration.slots.find((one) => one.name === name);
  if (slot === undefined) throw new CodedError('CONFIG_INVALID', `there is no slot ${name}`);
  const log = createLog('error', { process: 'drill' });
  const ring = readKeyRing(configuration);
  const options = { applicationName: 'hsm-driver restore drill', max: 2, durability: 'durable' } as const;
  const pool = createPool(configuration.database, options, log);
  const database = createDriverDatabase(pool, configuration.database, log);
  const local = openLocalResults(stateDirectory);
  const pins = createPinGuard({ database, local, slot, node, instance: randomUUID(), log });
  const turn = { take: async () => {}, done: () => {} };
  const hsm = await openHsm({ slot, ring, turn, firstLogin: pins.firstLogin, log });
  bench = {
    keyStore: ring.keyStore,
    hsm,
    moving: answeringMoves(hsm),
    database,
    // Nobody waits for this slot: what the HSM cannot say is in the report.
    device: { judge: async () => 'sound' },
    state: createSlotState(log),
    pace: createPace(() => false),
    log,
  };
  const { label, serial } = hsm.token;
  const masterKeyIds = hsm.keys.filter(({ kind, proven }) => kind === 'master' && proven).map(({ id }) => id);
  return { token: label, serial, masterKeyIds };
}

serveParent<DrillCalls>({
  open,
  async prove(keyIds) {
    if (bench === undefined) throw new Error('the slot was not opened');
    const checked = await checkKeys(bench, { keyIds }, new AbortController().signal);
    return checked.map(({ keyId, verdict, problem }) => ({
      keyId,
      problem: verdict === 'holds' ? '' : `${verdict}${problem === undefined ? '' : `: ${problem}`}`,
    }));
  },
});
