import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { readSecretFile } from '../../shared/configuration/secret-file.ts';
import { isUnreachable } from '../../shared/database/faults.ts';
import {
  type KeysAnswer,
  type KeysCall,
  keysCall,
  leaseCall,
  outcomesCall,
  releaseCall,
} from '../../shared/driver-protocol.ts';
import { asCodedError, CodedError, catalogueEntry } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import type { AuditAnchors } from '../audit/audit-anchors.ts';
import { driverDocument } from '../openapi/driver-document.ts';
import type { DriverQueue } from '../queue/driver-side.ts';
import type { DriverNode } from '../queue/lease.ts';
import { closeUnusedConnections } from '../unused-connections.ts';
import { createIdentify } from './client-identity.ts';
import type { DriverList } from './driver-list.ts';

const keepAliveMs = 75_000;
/** A lease answer or a report of 256 requests with 256 digests each is far below this. */
const bodyLimitBytes = 16 * 1024 * 1024;

export interface DriverServerOptions {
  readonly configuration: ApiConfiguration;
  readonly queue: DriverQueue;
  /** A node has connected. */
  readonly onIdentified: (node: string, certificate: X509Certificate) => void;
  readonly knownKeys: (node: DriverNode, call: KeysCall) => Promise<KeysAnswer>;
  readonly drivers: DriverList;
  readonly anchors: AuditAnchors;
  readonly log: Log;
}

/** The driver protocol's listener: HTTPS/1.1 with mutual TLS, apart from the applications' port. */
export function createDriverServer({
  configuration,
  queue,
  anchors,
  knownKeys,
  onIdentified,
  drivers,
  log,
}: DriverServerOptions): FastifyInstance {
  const { driver } = configuration;
  const identify = createIdentify(drivers, onIdentified);
  const server = fastify({
    https: {
      cert: readFileSync(driver.certificateFile),
      key: readSecretFile(driver.privateKeyFile, 'driver.privateKeyFile'),
      ca: readFileSync(driver.clientCaFile),
      minVersion: 'TLSv1.2',
      requestCert: true,
      // Refused in onRequest with a sentence instead of a torn connection; see client-identity.ts.
      rejectUnauthorized: false,
    },
    bodyLimit: bodyLimitBytes,
    keepAliveTimeout: keepAliveMs,
    forceCloseConnections: 'idle',
  }) as unknown as FastifyInstance;

  closeUnusedConnections(server);

  const quiet = createQuietLog(log);
  const callers = new WeakMap<FastifyRequest, DriverNode>();
  server.addHook('onRequest', async (request) => {
    callers.set(request, identify(request.raw.socket as TLSSocket));
  });
  const caller = (request: FastifyRequest): DriverNode => {
    const node = callers.get(request);
    if (node === undefined) throw new CodedError('CLIENT_CERTIFICATE_MISSING', 'the connection was not identified');
    return node;
  };

  server.post('/driver/v1/lease', async (request, reply) => {
    const call = parse(leaseCall, request.body);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const [requests, auditHead] = await Promise.all([
      queue.lease(caller(request), call, gone.signal),
      anchors.take(caller(request), call.instance, call.auditHead),
    ]);
    return { requests, auditHead };
  });
  server.post('/driver/v1/outcomes', async (request) => {
    const call = parse(outcomesCall, request.body);
    const answer = await queue.outcomes(caller(request), call);
    return { ...answer, auditHead: await anchors.take(caller(request), call.instance, call.auditHead) };
  });
  server.post('/driver/v1/release', async (request) => {
    await queue.release(caller(request), parse(releaseCall, request.body).instance);
    return {};
  });

  server.post('/driver/v1/keys', async (request) => await knownKeys(caller(request), parse(keysCall, request.body)));

  const document = JSON.stringify(driverDocument());
  server.get('/openapi.json', async (_request, reply) => {
    reply.type('application/json; charset=utf-8');
    return document;
  });

  server.setNotFoundHandler((request) => {
    throw new CodedError('NOT_FOUND', `${request.method} ${request.url}`);
  });
  server.setErrorHandler(async (thrown, request, reply) => {
    const error = classed(thrown);
    const status = catalogueEntry(error.code).status ?? 500;
    const fields = { code: error.code, error: error.message, path: request.url };
    if (status === 500) log.error(fields, 'driver call failed');
    // Where the database is away, each call fails so, of every worker: what repeats is counted.
    else if (status > 500) quiet.warn(fields, 'driver call refused');
    // What was not let in is not kept connected.
    if (status === 401 || status === 403) reply.header('connection', 'close');
    return reply
      .status(status)
      .send({ error: { code: error.code, message: status === 500 ? catalogueEntry('INTERNAL').what : error.message } });
  });
  return server;
}

function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const found = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new CodedError('BAD_REQUEST', found.join('; '));
}

function classed(thrown: unknown): CodedError {
  if (thrown instanceof CodedError) return thrown;
  if (isUnreachable(thrown)) return new CodedError('DATABASE_UNREACHABLE', 'of the signing API', { cause: thrown });
  const status = (thrown as { statusCode?: unknown }).statusCode;
  if (status === 413) return new CodedError('TOO_LARGE', 'driver call', { cause: thrown });
  if (typeof status === 'number' && status < 500)
    return new CodedError('BAD_REQUEST', (thrown as Error).message, { cause: thrown });
  return asCodedError(thrown);
}
