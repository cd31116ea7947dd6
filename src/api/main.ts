import type { KeyObject } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { type ApiConfiguration, apiConfiguration } from '../shared/configuration/api.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import { attestationPublicKey } from '../shared/crypto/attestation.ts';
import { checkSchema } from '../shared/database/migrate.ts';
import { connectionOptions } from '../shared/database/pool.ts';
import { checkReplication } from '../shared/database/replication.ts';
import { apiSchema } from '../shared/database/schema/api.ts';
import { CodedError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import { startExpiryWatch } from '../shared/operations/expiry-watch.ts';
import { readOperators } from '../shared/orders/operators.ts';
import { createReleasers } from '../shared/releasers.ts';
import { createApplicationServer } from './application/server.ts';
import { createAuditAnchors } from './audit/audit-anchors.ts';
import { thinAnchors } from './audit/thin-anchors.ts';
import { startDriverList } from './driver/driver-list.ts';
import { createKnownKeys } from './driver/known-keys.ts';
import { createDriverServer } from './driver/server.ts';
import { startHourly } from './hourly.ts';
import { createKeys } from './keys.ts';
import { createFinishedRequests } from './operations/finished-requests.ts';
import { startApiOperations } from './operations/operations.ts';
import { openApiPools } from './pools.ts';
import { startQueue } from './queue/queue.ts';
import { startDeliveries } from './webhooks/deliver.ts';
import { createWebhookSecrets } from './webhooks/secrets.ts';
import { createWebhookSender } from './webhooks/send.ts';

/** What a stop may take beyond the requests that are held. */
const stopMarginMs = 5_000;
/** HMAC-SHA-256 wants a key as long as its output. */
const secretBytes = 32;

/**
 * `hsm-driver api`: one process of the signing API. Several may run on one database; nothing is kept in a process that
 * another could not go on from.
 * @returns when it was asked to stop and has stopped.
 */
export async function runApi(configFile: string, stopAsked: AbortSignal): Promise<void> {
  const configuration = loadConfiguration(configFile, apiConfiguration);
  const log = createLog(configuration.log.level, { process: 'api' });
  const releasers = createReleasers((what, error) => log.error({ what, error: String(error) }, 'stop step failed'));
  try {
    const userActionSecret = readUserActionSecret(configuration);
    const pinned = pinnedAttestationKeys(configuration);

    const { relaxed, durable } = openApiPools(configuration.database, log);
    releasers.add('relaxed pool', () => relaxed.end(), stopMarginMs);
    releasers.add('durable pool', () => durable.end(), stopMarginMs);
    await checkSchema(durable, configuration.database, apiSchema);
    const lag = await checkReplication(durable, configuration.database);
    if (lag !== undefined) log.error({ cause: lag }, 'replicas are not synchronous');

    const finished = createFinishedRequests();
    const operations = await startApiOperations({ configuration, relaxed, durable, finished, log });
    // Its pages tell of the stop to the end.
    releasers.add('operations server', () => operations.stop());

    const queue = await startQueue({
      relaxed,
      durable,
      listen: connectionOptions(configuration.database, {
        applicationName: 'hsm-driver api listen',
        durability: 'relaxed',
        direct: true,
      }),
      signTtlMs: configuration.signTtlMs,
      holdMs: configuration.holdMs,
      limits: configuration.queue,
      pinned,
      onFinished: finished.count,
      log,
    });
    releasers.add('queue', () => queue.stop(), stopMarginMs);

    const keys = createKeys(durable, pinned);
    const webhookSecrets = createWebhookSecrets(userActionSecret);
    const webhookSender = createWebhookSender(configuration.webhooks);
    const deliveries = startDeliveries({
      pool: relaxed,
      keys,
      secrets: webhookSecrets,
      sender: webhookSender,
      log,
    });
    releasers.add('webhook deliveries', () => deliveries.stop(), stopMarginMs);

    const driverList = await startDriverList({
      pool: relaxed,
      configured: configuration.driver.nodes,
      operators: configuration.operators && readOperators(configuration.operators),
      log,
    });
    releasers.add('driver list', () => driverList.stop());
    const anchors = createAuditAnchors(durable, pinned, log);
    const thinning = startHourly({ what: 'audit anchors', work: (signal) => thinAnchors(durable, signal), log });
    releasers.add('thinning of audit anchors', () => thinning.stop());
    const expiry = startExpiryWatch(operations.expiring.read, log);
    releasers.add('expiry watch', () => expiry.stop());
    const drivers = createDriverServer({
      configuration,
      queue: queue.driver,
      knownKeys: createKnownKeys(relaxed),
      onIdentified: operations.expiring.driverSeen,
      drivers: driverList,
      anchors,
      log,
    });
    operations.calls.watch('driver', drivers);
    await listen(drivers, configuration.driver);
    releasers.add('driver listener', () => drivers.close(), stopMarginMs);
    const applications = createApplicationServer({
      configuration,
      pool: durable,
      queue: queue.application,
      userActionSecret,
      keys,
      webhookSecrets,
      webhookSender,
      log,
    });
    operations.calls.watch('application', applications);
    await listen(applications, configuration.application);
    // Held requests finish and are answered with `Connection: close`; idle connections are closed at once.
    releasers.add('application listener', () => applications.close(), configuration.holdMs + stopMarginMs);
    log.info(
      {
        application: address(configuration.application),
        driver: address(configuration.driver),
        keyStores: [...pinned.keys()],
      },
      'signing API started',
    );

    operations.started();

    await aborted(stopAsked);
    operations.stopping();
    log.info('signing API stops');
    // Waiting drivers are answered first, or their listener would wait for them.
    queue.driver.dismissDrivers();
  } finally {
    await releasers.release();
  }
  log.info('signing API stopped');
}

function readUserActionSecret(configuration: ApiConfiguration): Buffer {
  const secret = readSecretFile(configuration.userActionSecretFile, 'userActionSecretFile');
  if (secret.length >= secretBytes) return secret;
  throw new CodedError(
    'SECRET_FILE_INVALID',
    `userActionSecretFile ${configuration.userActionSecretFile} holds fewer than ${secretBytes} bytes`,
  );
}

function pinnedAttestationKeys(configuration: ApiConfiguration): ReadonlyMap<string, KeyObject> {
  return new Map(
    configuration.keyStores.map((store, index) => {
      try {
        return [store.id, attestationPublicKey(store.attestationPublicKey)];
      } catch (cause) {
        throw new CodedError('CONFIG_INVALID', `keyStores[${index}].attestationPublicKey is not a point of P-256`, {
          cause,
        });
      }
    }),
  );
}

async function listen(server: FastifyInstance, { host, port }: { host: string; port: number }): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    throw new CodedError('LISTEN_FAILED', `${host}:${port} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, {
      cause,
    });
  }
}

function address({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
