import type { KeyObject } from 'node:crypto';
import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import type { Log } from '../../shared/log.ts';
import { type ClockTime, readClock as readOwnClock } from '../../shared/orders/clock.ts';
import { readOperators } from '../../shared/orders/operators.ts';
import type { DriverDatabase } from '../database.ts';
import type { AdmissionRules } from './admission.ts';
import { openLocalPolicy } from './local-policy.ts';
import { type PolicyState, startPolicyState } from './policy-state.ts';

/** What a worker's requests are held to, from its configuration, its state directory and the driver database. */
export interface OpenPolicy {
  readonly rules: AdmissionRules;
  readonly state: PolicyState;
  readonly readClock: () => ClockTime;
  /** Whose word on an order’s time is believed. */
  readonly attestationKey: KeyObject;
}

/** @throws CONFIG_INVALID */
export function openPolicy(
  configuration: Pick<
    DriverConfiguration,
    'keyStore' | 'operators' | 'authorisation' | 'allowedKinds' | 'stateDirectory'
  >,
  slot: string,
  attestationKey: KeyObject,
  database: DriverDatabase,
  log: Log,
  readClock = readOwnClock,
): OpenPolicy {
  const { keyStore, authorisation, allowedKinds, stateDirectory } = configuration;
  const operators = configuration.operators && readOperators(configuration.operators);
  return {
    rules: { ...authorisation, kinds: allowedKinds && new Set(allowedKinds) },
    state: startPolicyState({
      keyStore,
      attestationKey,
      operators,
      leastListVersion: authorisation.leastListVersion,
      database,
      local: openLocalPolicy(stateDirectory, slot),
      readClock,
      log,
    }),
    readClock,
    attestationKey,
  };
}
