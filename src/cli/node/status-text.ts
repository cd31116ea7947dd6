import type { NodeStatus, SlotStatus } from '../../primary/operations/status.ts';
import type { CertificateFacts } from '../../shared/operations/certificate.ts';
import { policyLines } from '../authorisation/policy-lines.ts';

/** A node's status for people: what works, what does not and since when, in one screen. Pure. */
export function statusText(status: NodeStatus, now = new Date()): string {
  const { node, keyStore, version, pid, readiness, slots } = status;
  const head = `${node}  ${readiness.ready ? 'ready' : 'NOT READY'}  key store ${keyStore}, version ${version}, pid ${pid}, up ${age(status.startedAt, now)}`;
  return [
    head,
    '',
    ...table(
      slotHeads,
      slots.map((slot) => slotRow(slot, now)),
    ),
    '',
    ...slots.flatMap(slotNotes),
    ...readiness.reasons.map((reason) => `! ${reason}`),
    ...certificateLines(status, now),
    ...policyLines(status),
    ...queueLines(status),
    ...clusterLines(status),
    ...maintenanceLines(status, now),
    '',
  ].join('\n');
}

const slotHeads = ['SLOT', 'STATE', 'FOR', 'TOKEN', 'PIN', 'BREAKER', 'THREADS', 'HELD', 'API', 'RESTARTS'];

function slotRow(slot: SlotStatus, now: Date): string[] {
  const restarts = Object.values(slot.restarts).reduce((sum, count) => sum + (count ?? 0), 0);
  return [
    slot.name,
    slot.crashLoop ? `${slot.state} (crash loop)` : slot.state,
    age(slot.since, now),
    slot.token === undefined ? slot.tokenLabel : `${slot.token.label} ${slot.token.serial}`,
    slot.pin,
    slot.breaker ?? '-',
    slot.threads === undefined ? '-' : `${slot.threads.busy}/${slot.threads.total}`,
    slot.held === undefined ? '-' : String(slot.held),
    slot.api ?? '-',
    String(restarts),
  ];
}

function slotNotes({
  name,
  warnings = [],
  masterKeyId,
  keys = [],
  fingerprint,
  capabilities,
  lastFault,
}: SlotStatus): string[] {
  const print = fingerprint === undefined ? '' : `, fingerprint ${fingerprint.value} (${fingerprint.method})`;
  return [
    ...warnings.map((warning) => `! ${name}: ${warning}`),
    ...(masterKeyId === undefined ? [] : [`  ${name}: master key ${masterKeyId}${print}`]),
    ...keys.filter(({ id }) => id !== masterKeyId).map((key) => `  ${name}: ${furtherKey(key)}`),
    ...(capabilities === undefined ? [] : [`  ${name}: ${capabilities.join(' ')}`]),
    ...(lastFault === undefined
      ? []
      : [`  ${name}: last fault ${lastFault.code} at ${lastFault.at}: ${lastFault.detail}`]),
  ];
}

function furtherKey({ kind, id, proven, why }: NonNullable<SlotStatus['keys']>[number]): string {
  return proven ? `holds ${kind} key ${id}` : `LACKS ${kind} key ${id}: ${why ?? 'not proven'}`;
}

function certificateLines({ certificate, apiCa }: NodeStatus, now: Date): string[] {
  if (certificate === undefined) return ['rotation node: no access to the API'];
  return [certificate, ...(apiCa === undefined ? [] : [apiCa])].flatMap((one) =>
    validityLines(one, one === apiCa, now),
  );
}

/** Of a CA, only what somebody must do. */
function validityLines({ notAfter, problem, file }: CertificateFacts, isCa: boolean, now: Date): string[] {
  const what = isCa ? 'the API’s CA' : 'certificate';
  if (notAfter === undefined) return [`! ${what} ${file}: ${problem}`];
  const days = Math.floor((Date.parse(notAfter) - now.getTime()) / 86_400_000);
  if (days < 0) return [`! ${what} expired at ${notAfter}`];
  if (isCa && days >= 14) return [];
  return [`${days < 14 ? '! ' : ''}${what} expires in ${days} days (${notAfter})`];
}

function queueLines({ queueWait }: NodeStatus): string[] {
  if (queueWait === undefined) return [];
  const { requests, meanMs } = queueWait;
  if (requests === 0) return ['queue: no request in the last minute'];
  return [`queue: ${requests} requests in the last minute, which had waited ${meanMs} ms on average`];
}

function clusterLines({ cluster: { reachable, leader, nodes, verdict } }: NodeStatus): string[] {
  if (!reachable) return ['! the cluster’s tables cannot be reached; the node works by itself'];
  const live = nodes.filter((one) => one.live).map((one) => one.node);
  const dead = nodes.filter((one) => !one.live).map((one) => one.node);
  const lead = leader === undefined ? 'nobody leads' : `led by ${leader.node} (epoch ${leader.epoch})`;
  return [
    `cluster: ${live.length} live (${live.join(', ')})${dead.length === 0 ? '' : `, dead: ${dead.join(', ')}`}, ${lead}`,
    ...(verdict?.alarms ?? []).map((alarm) => `! ${alarm}`),
  ];
}

/** What an operator must look at; `hsm-driver jobs list` shows all of it. */
function maintenanceLines({ cluster, maintenance: { reachable, jobs } }: NodeStatus, now: Date): string[] {
  // Where the database is away that is said above, and its schema is no clue.
  if (!reachable)
    return cluster.reachable ? ['! reports of maintenance jobs cannot be read; is the schema migrated?'] : [];
  const done = jobs.filter(({ lastDoneAt }) => lastDoneAt != null).length;
  const running = jobs.filter(({ state }) => state === 'running').map(({ job, node }) => `${job} on ${node}`);
  const going = running.length === 0 ? '' : `, running: ${running.join(', ')}`;
  return [
    `maintenance: ${done} of ${jobs.length} jobs have been done${going}`,
    ...jobs
      .filter(({ state }) => state === 'failed')
      .map(({ job, problem, endedAt }) => `! ${job} failed ${age(endedAt ?? '', now)} ago: ${problem}`),
    ...jobs.flatMap(({ job, alarms = [] }) => alarms.map((alarm) => `! ${job}: ${alarm}`)),
  ];
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  return [heads, ...rows].map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function age(since: string, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - Date.parse(since)) / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}
