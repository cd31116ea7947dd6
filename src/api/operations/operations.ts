import type pg from 'pg';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import type { Log } from '../../shared/log.ts';
import { type CertificateFacts, createCertificateReader } from '../../shared/operations/certificate.ts';
import { startOperationsServer } from '../../shared/operations/server.ts';
import { version } from '../../shared/version.ts';
import { askedRarely } from './asked-rarely.ts';
import { createExpiring, type ExpiringThings } from './expiring.ts';
import type { FinishedRequests } from './finished-requests.ts';
import { type ApiMetrics, createApiMetrics } from './metrics.ts';
import { readQueueNumbers } from './queue-numbers.ts';

const numbersForMs = 5_000;
const tokensForMs = 60_000;

export interface ApiOperations {
  readonly expiring: Pick<ExpiringThings, 'driverSeen' | 'read'>;
  readonly calls: ApiMetrics['calls'];
  /** Both listeners are open. */
  started(): void;
  /** From here on not ready: whoever sends calls should send them elsewhere. */
  stopping(): void;
  stop(): Promise<void>;
}

export interface ApiOperationsParts {
  readonly configuration: ApiConfiguration;
  readonly relaxed: pg.Pool;
  readonly durable: pg.Pool;
  readonly finished: FinishedRequests;
  readonly log: Log;
}

/**
 * The pages of an API process. Ready: its listeners are open and it was not asked to stop. A lost database makes it
 * unready as little as a lost HSM does: callers get a 503 that says so, instead of a refused connection from all of them.
 * @throws LISTEN_FAILED
 */
export async function startApiOperations(parts: ApiOperationsParts): Promise<ApiOperations> {
  const { configuration, relaxed, durable, finished, log } = parts;
  let state: 'starting' | 'running' | 'stopping' = 'starting';
  const readCertificate = createCertificateReader();
  const certificates = (): Record<string, CertificateFacts> => ({
    application: readCertificate(configuration.application.certificateFile),
    driver: readCertificate(configuration.driver.certificateFile),
    'driver client CA': readCertificate(configuration.driver.clientCaFile),
  });
  const readiness = () => ({
    ready: state === 'running',
    reasons: state === 'running' ? [] : [`the process is ${state}`],
  });
  const expiring = createExpiring(relaxed, certificates);
  const metrics = createApiMetrics({
    version: version(),
    finished,
    queueNumbers: askedRarely(() => readQueueNumbers(relaxed), numbersForMs),
    certificates,
    expiring: { ...expiring, nextToken: askedRarely(expiring.nextToken, tokensForMs) },
    ready: () => state === 'running',
    waitingForConnection: () => ({ relaxed: relaxed.waitingCount, durable: durable.waitingCount }),
  });
  const status = () => ({
    version: version(),
    pid: process.pid,
    startedAt: new Date(performance.timeOrigin).toISOString(),
    readiness: readiness(),
    certificates: certificates(),
  });
  const server =
    configuration.operations === undefined
      ? undefined
      : await startOperationsServer(configuration.operations, { readiness, status, metrics }, log);
  return {
    expiring,
    calls: metrics.calls,
    started() {
      state = 'running';
    },
    stopping() {
      state = 'stopping';
    },
    stop: async () => await server?.stop(),
  };
}
