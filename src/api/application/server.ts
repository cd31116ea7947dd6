import { readFileSync } from 'node:fs';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type pg from 'pg';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { readSecretFile } from '../../shared/configuration/secret-file.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { createQuietLog } from '../../shared/quiet-log.ts';
import { createCredentialRegistrations } from '../authentication/credential-registration.ts';
import { createKnownCallers } from '../authentication/known-callers.ts';
import { createRateLimit } from '../authentication/rate-limit.ts';
import { createUserActions } from '../authentication/user-action.ts';
import type { Keys } from '../keys.ts';
import { applicationDocument } from '../openapi/application-document.ts';
import type { RequestQueue } from '../queue/request.ts';
import { closeUnusedConnections } from '../unused-connections.ts';
import type { WebhookSecrets } from '../webhooks/secrets.ts';
import type { WebhookSender } from '../webhooks/send.ts';
import { refuseMalformedRequest } from './client-error.ts';
import { errorAnswer, requestError } from './error-answer.ts';
import { readJsonBody } from './json-body.ts';
import { prepareRequests, type RouteTools } from './route.ts';
import { routes } from './routes/index.ts';
import { securityHeaders } from './security-headers.ts';

const bodyLimitBytes = 1024 * 1024;
/** Longer than the idle time of common proxies, so that it is not us who close a connection they are about to use. */
const keepAliveMs = 75_000;
/** To receive a whole request; the time it is held for its result does not count. */
const receiveTimeoutMs = 30_000;

export interface ApplicationServerOptions {
  readonly configuration: ApiConfiguration;
  readonly pool: pg.Pool;
  readonly queue: RequestQueue;
  /** 32 bytes or more, the same for all API processes. */
  readonly userActionSecret: Buffer;
  readonly keys: Keys;
  readonly webhookSecrets: WebhookSecrets;
  readonly webhookSender: WebhookSender;
  readonly log: Log;
  /** Unix ms. */
  readonly now?: () => number;
}

/**
 * The listener for applications: the part of the Dfns API that keys and signatures need. Whatever happens, the answer
 * is JSON, because the SDKs parse every answer.
 * @throws CONFIG_INVALID, SECRET_FILE_* for the TLS files.
 */
export function createApplicationServer(options: ApplicationServerOptions): FastifyInstance {
  const { configuration, pool, queue, keys, webhookSecrets, webhookSender, log } = options;
  const tools: RouteTools = {
    configuration,
    pool,
    queue,
    keys,
    userActions: createUserActions(options.userActionSecret, options.now),
    credentialRegistrations: createCredentialRegistrations(options.userActionSecret, options.now),
    callers: createKnownCallers(pool, createRateLimit(configuration.rateLimit)),
    webhookSecrets,
    webhookSender,
  };
  const answerError = createErrorAnswers(log);
  const server = fastify({
    https: tlsOptions(configuration.application),
    bodyLimit: bodyLimitBytes,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: receiveTimeoutMs,
    forceCloseConnections: 'idle',
    // Its own answer would have another shape: see refuseWhileStopping.
    return503OnClosing: false,
    clientErrorHandler: refuseMalformedRequest,
    frameworkErrors: (error, request, reply) => {
      answerError(error, request, reply);
    },
  }) as unknown as FastifyInstance;

  // The routes see the bytes as they came: user actions are signed over them.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, bytes: Buffer) => readJsonBody(bytes),
  );
  refuseWhileStopping(server);
  closeUnusedConnections(server);
  server.addHook('onSend', async (_request, reply) => {
    reply.headers(securityHeaders);
  });
  server.setNotFoundHandler((request, reply) => {
    answerError(
      new CodedError('NOT_FOUND', `there is no ${request.method} ${request.url.split('?')[0]}`),
      request,
      reply,
    );
  });
  server.setErrorHandler((error, request, reply) => {
    answerError(error, request, reply);
  });
  prepareRequests(server);
  for (const route of routes) route.register(server, tools);
  serveDocument(server);
  return server;
}

/** GET /openapi.json: for everybody, there is nothing of this installation in it. */
function serveDocument(server: FastifyInstance): void {
  const document = JSON.stringify(applicationDocument(routes));
  server.get('/openapi.json', async (_request, reply) => {
    reply.type('application/json; charset=utf-8');
    return document;
  });
}

/** What still arrives on open connections while this process stops goes to another one; what is held is finished. */
function refuseWhileStopping(server: FastifyInstance): void {
  let stopping = false;
  server.addHook('preClose', async () => {
    stopping = true;
  });
  server.addHook('onRequest', async () => {
    if (stopping) throw new CodedError('API_STOPPING', '');
  });
}

/** Where the database is away, each request is refused: what repeats is counted. */
function createErrorAnswers(log: Log) {
  const quiet = createQuietLog(log);
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = requestError(thrown);
    const { status, headers, body } = errorAnswer(error);
    if (status >= 500) {
      const fields = {
        errorId: body.error.id,
        code: error.code,
        error: error.detail,
        method: request.method,
        route: request.routeOptions.url,
      };
      if (status === 500)
        log.error({ ...fields, stack: (error.cause as Error | undefined)?.stack ?? error.stack }, 'request failed');
      else quiet.warn(fields, 'request refused');
    }
    // Not all of the framework's own refusals pass the onSend hook.
    reply
      .status(status)
      .headers({ ...securityHeaders, ...headers })
      .send(body);
  };
}

function tlsOptions({ certificateFile, privateKeyFile }: ApiConfiguration['application']) {
  return {
    cert: readCertificate(certificateFile),
    key: readSecretFile(privateKeyFile, 'application.privateKeyFile'),
    minVersion: 'TLSv1.2' as const,
  };
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new CodedError('CONFIG_INVALID', `application.certificateFile ${file} cannot be read (${code})`, { cause });
  }
}
