import { Registry } from 'prom-client';
import type { CertificateFacts } from '../../shared/operations/certificate.ts';
import { createFamilies } from '../../shared/operations/families.ts';
import { type CallTimes, createCallTimes } from './calls.ts';
import type { ExpiringThings } from './expiring.ts';
import type { FinishedRequests } from './finished-requests.ts';
import type { QueueNumbers } from './queue-numbers.ts';

/** The metrics of one API process. What is in the queue is the same in all of them: `max`, not `sum`, over processes. */
export interface ApiMetrics {
  readonly contentType: string;
  readonly calls: CallTimes;
  text(): Promise<string>;
}

export interface ApiMetricsSource {
  readonly version: string;
  readonly finished: FinishedRequests;
  readonly queueNumbers: () => Promise<QueueNumbers | undefined>;
  readonly certificates: () => Readonly<Record<string, CertificateFacts>>;
  readonly expiring: Pick<ExpiringThings, 'driverCertificates'> & { nextToken(): Promise<string | null | undefined> };
  readonly ready: () => boolean;
  /** Connections of the pools, by pool, and callers that wait for one. */
  readonly waitingForConnection: () => Readonly<Record<string, number>>;
}

const prefix = 'hsm_api_';

export function createApiMetrics(source: ApiMetricsSource): ApiMetrics {
  const registry = new Registry();
  const calls = createCallTimes(registry, `${prefix}call_seconds`);
  const { gauge, counter } = createFamilies(registry, prefix);
  let numbers: QueueNumbers | undefined;
  let nextToken: string | null | undefined;

  counter('requests_finished_total', 'Requests that this process made final', ['kind', 'state', 'code'], () =>
    source.finished.all().map(({ count, ...labels }) => [labels, count]),
  );
  gauge('requests_open', 'Requests in the queue (queued) and at drivers (leased)', ['key_store', 'state'], () =>
    (numbers?.open ?? []).map(({ keyStore, state, count }) => [{ key_store: keyStore, state }, count]),
  );
  gauge('oldest_request_seconds', 'Age of the oldest request that no driver has seen yet', ['key_store'], () =>
    (numbers?.oldestSeconds ?? []).map(({ keyStore, seconds }) => [{ key_store: keyStore }, seconds]),
  );
  gauge('driver_instances', 'Workers that asked for work lately', ['key_store'], () =>
    (numbers?.instances ?? []).map(({ keyStore, count }) => [{ key_store: keyStore }, count]),
  );
  gauge('database_answers', '1 while the API database answers', [], () => [[{}, numbers === undefined ? 0 : 1]]);
  gauge('connection_waiters', 'Callers that wait for a database connection', ['pool'], () =>
    Object.entries(source.waitingForConnection()).map(([pool, waiting]) => [{ pool }, waiting]),
  );
  gauge('certificate_expiry_timestamp_seconds', 'When a certificate in use expires', ['certificate'], () =>
    Object.entries(source.certificates()).flatMap(([certificate, { notAfter }]) =>
      notAfter === undefined ? [] : [[{ certificate }, Date.parse(notAfter) / 1_000] as const],
    ),
  );
  gauge(
    'driver_certificate_expiry_timestamp_seconds',
    'When the client certificate expires that a node presented to this process last',
    ['node'],
    () => [...source.expiring.driverCertificates()].map(([node, notAfter]) => [{ node }, Date.parse(notAfter) / 1_000]),
  );
  gauge('access_token_expiry_timestamp_seconds', 'When the next bearer token in use expires', [], () => [
    [{}, nextToken == null ? Number.POSITIVE_INFINITY : Date.parse(nextToken) / 1_000],
  ]);
  gauge('ready', '1 when /readyz says ready', [], () => [[{}, Number(source.ready())]]);
  gauge('build_info', 'Version of this program and of Node.js', ['version', 'node_version'], () => [
    [{ version: source.version, node_version: process.versions.node }, 1],
  ]);
  gauge('resident_memory_bytes', 'Memory of this process', [], () => [[{}, process.memoryUsage.rss()]]);
  gauge('start_time_seconds', 'When this process started', [], () => [[{}, performance.timeOrigin / 1_000]]);

  return {
    contentType: registry.contentType,
    calls,
    async text() {
      [numbers, nextToken] = await Promise.all([source.queueNumbers(), source.expiring.nextToken()]);
      return await registry.metrics();
    },
  };
}
