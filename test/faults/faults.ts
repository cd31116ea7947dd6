import { clockFaults } from './clock-faults.ts';
import type { Fault } from './fault.ts';
import { hsmFaults } from './hsm-faults.ts';
import { networkFaults } from './network-faults.ts';
import { operatorFaults } from './operator-faults.ts';
import { poisonKey } from './poison-key.ts';
import { processFaults } from './process-faults.ts';
import { versionFaults } from './version-faults.ts';

/** All rows, in the order in which they run. */
export const faults: readonly Fault[] = [
  ...hsmFaults,
  poisonKey,
  ...operatorFaults,
  ...processFaults,
  ...networkFaults,
  ...clockFaults,
  ...versionFaults,
];
