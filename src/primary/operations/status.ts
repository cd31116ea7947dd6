import type { DriverConfiguration } from '../../shared/configuration/driver.ts';
import type { CertificateFacts } from '../../shared/operations/certificate.ts';
import type { PolicyReport, SlotFacts, WorkerReport } from '../../shared/worker-report.ts';
import type { ClusterView } from '../cluster/membership.ts';
import type { MaintenanceView } from '../maintenance/reports-view.ts';
import type { SlotFault, SlotRecord } from '../slot-table.ts';
import type { SlotView } from '../supervisor.ts';
import type { QueueWait } from './queue-wait.ts';
import type { Readiness } from './readiness.ts';

/** The whole picture of a node, as `/status` and `hsm-driver status` show it. Times are ISO 8601 by the node's clock. */
export interface NodeStatus {
  readonly node: string;
  readonly keyStore: string;
  readonly version: string;
  readonly pid: number;
  readonly instance: string;
  readonly startedAt: string;
  /** When the configuration in force was read. */
  readonly configuredAt: string;
  readonly readiness: Readiness;
  /** Whether callers' authorisations are checked by this node. */
  readonly authorisation: DriverConfiguration['authorisation']['mode'];
  /** How many of how many operators sign an order. Absent: nobody must. */
  readonly operators?: { readonly threshold: number; readonly of: number };
  readonly slots: readonly SlotStatus[];
  /** Absent on a rotation node: it has none. */
  readonly certificate?: CertificateFacts;
  /** Of the API’s servers. Absent on a rotation node, and in what an older node says. */
  readonly apiCa?: CertificateFacts;
  readonly cluster: ClusterView;
  readonly maintenance: MaintenanceView;
  /** Absent in what an older node says. */
  readonly queueWait?: QueueWait;
}

export type PinState = 'accepted' | 'refused' | 'unknown';

export interface SlotStatus extends Pick<SlotRecord, 'state' | 'why' | 'crashLoop' | 'steady' | 'restarts'> {
  readonly name: string;
  readonly since: string;
  readonly tokenLabel: string;
  readonly pin: PinState;
  readonly lastFault?: Omit<SlotFault, 'at'> & { readonly at: string };
  readonly worker?: { readonly pid: number | undefined; readonly instance?: string; readonly startedAt: string };
  readonly breaker?: WorkerReport['breaker'];
  readonly threads?: WorkerReport['threads'];
  readonly held?: number;
  readonly api?: WorkerReport['api'];
  readonly apiTrouble?: WorkerReport['apiTrouble'];
  readonly database?: WorkerReport['database'];
  readonly leasedOnce?: boolean;
  readonly policy?: PolicyReport;
  readonly token?: SlotFacts['token'];
  readonly warnings?: SlotFacts['warnings'];
  readonly masterKeyId?: string;
  readonly keys?: SlotFacts['keys'];
  readonly fingerprint?: SlotFacts['fingerprint'];
  readonly capabilities?: readonly string[];
  readonly probe?: SlotFacts['probe'];
}

export interface StatusParts {
  readonly configuration: Pick<DriverConfiguration, 'node' | 'keyStore' | 'authorisation' | 'operators'>;
  readonly version: string;
  readonly instance: string;
  readonly startedAt: Date;
  readonly configuredAt: Date;
  readonly readiness: Readiness;
  readonly slots: readonly SlotView[];
  readonly certificate: CertificateFacts | undefined;
  readonly apiCa: CertificateFacts | undefined;
  readonly cluster: ClusterView;
  readonly maintenance: MaintenanceView;
  readonly queueWait: QueueWait;
}

export function statusOf(parts: StatusParts): NodeStatus {
  const { configuration, version, instance, readiness, slots, certificate, apiCa, cluster, maintenance, queueWait } =
    parts;
  return {
    node: configuration.node,
    keyStore: configuration.keyStore,
    version,
    pid: process.pid,
    instance,
    startedAt: parts.startedAt.toISOString(),
    configuredAt: parts.configuredAt.toISOString(),
    readiness,
    authorisation: configuration.authorisation.mode,
    ...operatorsOf(configuration),
    slots: slots.map(slotStatus),
    ...(certificate === undefined ? {} : { certificate }),
    ...(apiCa === undefined ? {} : { apiCa }),
    cluster,
    maintenance,
    queueWait,
  };
}

/** What the slot's PIN is worth, as far as this node has seen. */
export function pinState({ state, latchedBy, facts }: SlotRecord): PinState {
  if (state === 'latched' && latchedBy === 'PIN') return 'refused';
  return facts === undefined ? 'unknown' : 'accepted';
}

function slotStatus({ configuration, record }: SlotView): SlotStatus {
  const { state, since, why, crashLoop, steady, restarts, lastFault, worker, report, facts } = record;
  return {
    name: configuration.name,
    state,
    since: since.toISOString(),
    why,
    crashLoop,
    steady,
    restarts,
    tokenLabel: configuration.tokenLabel,
    pin: pinState(record),
    ...(lastFault === undefined ? {} : { lastFault: { ...lastFault, at: lastFault.at.toISOString() } }),
    ...(worker === undefined ? {} : { worker: { ...worker, startedAt: worker.startedAt.toISOString() } }),
    ...(report === undefined ? {} : reported(report)),
    ...facts,
  };
}

function operatorsOf({ operators }: StatusParts['configuration']): Pick<NodeStatus, 'operators'> {
  return operators === undefined ? {} : { operators: { threshold: operators.threshold, of: operators.keys.length } };
}

function reported(report: WorkerReport): Partial<SlotStatus> {
  const { breaker, threads, held, api, apiTrouble, database, leasedOnce, policy } = report;
  return {
    ...{ breaker, threads, held, api, database, leasedOnce },
    ...(apiTrouble && { apiTrouble }),
    ...(policy && { policy }),
  };
}
