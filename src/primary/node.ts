import { randomUUID } from 'node:crypto';
import type { DriverConfiguration } from '../shared/configuration/driver.ts';
import { asCodedError, type CodedError } from '../shared/errors.ts';
import { fileStamp } from '../shared/file-stamp.ts';
import type { Log } from '../shared/log.ts';
import { createCertificateReader } from '../shared/operations/certificate.ts';
import { type Expiring, type ExpiryWatch, startExpiryWatch } from '../shared/operations/expiry-watch.ts';
import type { SlotFacts } from '../shared/worker-report.ts';
import { type Cluster, createCluster } from './cluster/cluster.ts';
import type { NodeSlot } from './cluster/nodes.ts';
import type { ClusterTurns } from './cluster/turns.ts';
import { createHsmDesk } from './maintenance/hsm-desk.ts';
import { createJobs } from './maintenance/jobs/index.ts';
import { createMaintenance, type Maintenance } from './maintenance/maintenance.ts';
import { createOperationsListener } from './operations/listener.ts';
import { createMetrics } from './operations/metrics.ts';
import { createQueueWaitWatch } from './operations/queue-wait.ts';
import { createReadinessWatch } from './operations/readiness.ts';
import { type NodeStatus, statusOf } from './operations/status.ts';
import { createTotals } from './operations/totals.ts';
import { createReleaseClient } from './release-client.ts';
import { identityProblems } from './roll-out.ts';
import { createRollOuts } from './roll-outs.ts';
import { tokenInCluster } from './slot-token.ts';
import { createStartUpTurns } from './start-up-turns.ts';
import { createSupervisor, type SlotView } from './supervisor.ts';
import { forkWorker } from './worker-handle.ts';

/** All parts of a node's primary, joined, and what a new configuration does to each of them. */
export interface DriverNode {
  /** @throws LISTEN_FAILED */
  start(): Promise<void>;
  /** See Supervisor. */
  readonly hopeless: Promise<CodedError>;
  /**
   * Puts another configuration in force, or says in the log why not; then the old one stays. Resolves when it is; its
   * workers are replaced after that, and another call stops what is left of it.
   */
  reload(wanted: DriverConfiguration): Promise<void>;
  stop(): Promise<void>;
  kill(): void;
}

export function createDriverNode(first: DriverConfiguration, version: string, log: Log): DriverNode {
  const self = { node: first.node, instance: randomUUID(), version };
  const startedAt = new Date();
  let configuredAt = startedAt;
  let inForce = first;
  let stopping = false;
  let expiry: ExpiryWatch | undefined;
  /** A reload that is under way, to the point where its configuration is in force. */
  let moving: Promise<void> = Promise.resolve();

  const clusterOf = ({ database }: DriverConfiguration): Cluster => createCluster(database, self, nodeSlots, log);
  let cluster = clusterOf(first);
  let maintenance: Maintenance;
  let clusterStamp = databaseStamp(first);
  const clusterTurns: ClusterTurns = { take: (...asked) => cluster.turns.take(...asked) };
  const supervisor = createSupervisor({
    slots: first.slots,
    fork: (slot, listener) => forkWorker(JSON.stringify(inForce), slot, listener),
    turns: createStartUpTurns(),
    clusterTurns,
    pinClears: (withinMs) => cluster.pinClears(withinMs),
    releases: createReleaseClient(() => inForce.api, log),
    log,
  });

  const hsm = createHsmDesk({ readySlots, askHsm: (slot, work) => supervisor.askHsm(slot, work) });
  const maintenanceOf = (configuration: DriverConfiguration): Maintenance =>
    createMaintenance({ configuration, hsm, jobs: createJobs(() => inForce), log });
  maintenance = maintenanceOf(first);
  supervisor.onState(() => maintenance.slotsChanged());

  /** Read anew each time: both files are renewed while the node runs. */
  async function certificates(): Promise<Expiring[]> {
    const { api } = inForce;
    const files = api === undefined ? [] : [api.certificateFile, api.caFile];
    return files.flatMap((file) => {
      const { notAfter } = certificateOf(file);
      return notAfter === undefined ? [] : [{ what: file, notAfter }];
    });
  }

  const totals = createTotals();
  const queueWait = createQueueWaitWatch();
  const readiness = createReadinessWatch();
  const certificateOf = createCertificateReader();
  supervisor.onReport(({ configuration, record: { worker, report } }) => {
    if (report !== undefined) totals.take(configuration.name, worker?.instance ?? '', report);
    queueWait.note(totals.all(), performance.now());
    readiness.note(supervisor.slots());
  });

  function nodeSlots(): NodeSlot[] {
    const purpose = inForce.rotation === undefined ? {} : { purpose: 'rotation' as const };
    return supervisor.slots().map((slot) => ({ ...nodeSlot(slot), ...purpose }));
  }

  function readySlots(): string[] {
    const ready = supervisor.slots().filter(({ record }) => record.state === 'ready');
    return ready.map((slot) => slot.configuration.name);
  }

  function status(): NodeStatus {
    const slots = supervisor.slots();
    return statusOf({
      configuration: inForce,
      version,
      instance: self.instance,
      startedAt,
      configuredAt,
      readiness: readiness.now(slots, stopping),
      slots,
      certificate: inForce.api && certificateOf(inForce.api.certificateFile),
      apiCa: inForce.api && certificateOf(inForce.api.caFile),
      cluster: cluster.view(),
      maintenance: maintenance.view(),
      queueWait: queueWait.now(performance.now()),
    });
  }
  const pages = { readiness: () => status().readiness, status, metrics: createMetrics({ status, totals: totals.all }) };

  const operations = createOperationsListener(pages, log);
  const rollOuts = createRollOuts({ supervisor, clusterTurns, log });

  async function moveCluster(after: { readonly cluster: Cluster; readonly maintenance: Maintenance }): Promise<void> {
    await Promise.all([cluster.stop(), maintenance.stop()]);
    // The node ended meanwhile: what was started now would be stopped by nobody.
    if (stopping) return;
    ({ cluster, maintenance } = after);
    cluster.start();
    maintenance.start();
  }

  /** What may be refused comes first: all of it is in force, or nothing. @throws LISTEN_FAILED, SECRET_FILE_… */
  async function putInForce(wanted: DriverConfiguration): Promise<void> {
    const stamp = databaseStamp(wanted);
    const after =
      stamp === clusterStamp ? undefined : { cluster: clusterOf(wanted), maintenance: maintenanceOf(wanted) };
    await operations.move(wanted.operations);
    if (after !== undefined) await moveCluster(after);
    clusterStamp = stamp;
    inForce = wanted;
    configuredAt = new Date();
    log.level = wanted.log.level;
  }

  return {
    hopeless: supervisor.hopeless,
    async start() {
      await operations.move(first.operations);
      cluster.start();
      maintenance.start();
      expiry = startExpiryWatch(certificates, log);
      supervisor.start();
    },
    async reload(wanted) {
      if (stopping) return;
      const problems = identityProblems(inForce, wanted);
      if (problems.length > 0) return refuse(log, problems);
      try {
        moving = putInForce(wanted);
        await moving;
      } catch (error) {
        return refuse(log, [asCodedError(error).message]);
      }
      await rollOuts.begin(wanted.slots);
    },
    async stop() {
      stopping = true;
      expiry?.stop();
      rollOuts.stop();
      const moved = moving.catch(() => {});
      const rest = moved.then(() => Promise.all([cluster.stop(), maintenance.stop()]));
      await Promise.all([supervisor.stop(), rest]);
      await operations.stop();
    },
    kill: () => supervisor.kill(),
  };
}

export function refuse(log: Log, problems: readonly string[]): void {
  log.error({ problems }, 'configuration not accepted; the old one stays in force');
}

/** Another word when the sections, or a file that they name, changed. */
function databaseStamp({ database, maintenance }: DriverConfiguration): string {
  return JSON.stringify([
    database,
    maintenance,
    fileStamp(database.passwordFile ?? ''),
    fileStamp(database.caFile ?? ''),
  ]);
}

function nodeSlot({ configuration, record }: SlotView): NodeSlot {
  const { state, sinceMs, why, facts } = record;
  return {
    name: configuration.name,
    token: tokenInCluster(configuration, facts),
    state,
    forMs: Math.round(performance.now() - sinceMs),
    why,
    ...(facts === undefined ? {} : keysOf(facts)),
  };
}

function keysOf(facts: SlotFacts): Pick<NodeSlot, 'masterKeyId' | 'integrityKeyId' | 'keys' | 'rotates'> {
  const { masterKeyId, integrityKeyId, keys = [] } = facts;
  const proven = keys.filter((one) => one.proven);
  const ids = (rotation: boolean): string[] =>
    proven.filter(({ kind }) => (kind === 'rotation') === rotation).map(({ id }) => id);
  return {
    masterKeyId,
    ...(integrityKeyId === undefined ? {} : { integrityKeyId }),
    keys: ids(false),
    rotates: ids(true),
  };
}
