import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CodedError } from '../errors.ts';
import type { Log } from '../log.ts';

/**
 * The operations server of a driver node or of an API process, plain HTTP, four pages that only read. Nothing secret is on
 * them, but the names of HSMs and nodes are: it listens on the loopback address where nothing else is configured.
 *
 *   /livez    200 while this process's event loop turns; nothing else, least of all an HSM, makes it fail
 *   /readyz   200 or 503, with reasons
 *   /metrics  Prometheus
 *   /status   everything, as JSON
 */
export interface OperationsServer {
  readonly port: number;
  stop(): Promise<void>;
}

export interface OperationsPages {
  readonly readiness: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  readonly status: () => unknown;
  readonly metrics: {
    readonly contentType: string;
    /** Prometheus text format 0.0.4. */
    text(): Promise<string>;
  };
}

/** A loop that was blocked for longer is not well, even if it turns again at this moment. */
const stallLimitMs = 30_000;
const turnMs = 1_000;

/** @throws LISTEN_FAILED */
export async function startOperationsServer(
  address: { readonly host: string; readonly port: number },
  pages: OperationsPages,
  log: Log,
): Promise<OperationsServer> {
  let turnedAt = performance.now();
  const turning = setInterval(() => {
    turnedAt = performance.now();
  }, turnMs);

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      log.error({ path: request.url, cause: (error as Error).message }, 'operations page failed');
      if (!response.headersSent) send(response, 500, { error: 'the log holds the cause' });
    });
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.keepAliveTimeout = 75_000;
  server.maxConnections = 64;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return send(response, 405, { error: 'these pages are only read' });
    }
    switch ((request.url ?? '').split('?')[0]) {
      case '/livez': {
        const stalledMs = Math.round(performance.now() - turnedAt);
        return send(response, stalledMs < stallLimitMs ? 200 : 503, { live: stalledMs < stallLimitMs, stalledMs });
      }
      case '/readyz': {
        const readiness = pages.readiness();
        return send(response, readiness.ready ? 200 : 503, readiness);
      }
      case '/metrics': {
        const text = await pages.metrics.text();
        response.writeHead(200, { 'content-type': pages.metrics.contentType }).end(text);
        return;
      }
      case '/status':
        return send(response, 200, pages.status());
      default:
        return send(response, 404, { error: 'the pages are /livez, /readyz, /metrics and /status' });
    }
  }

  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(address.port, address.host, resolve);
  try {
    await promise;
  } catch (cause) {
    clearInterval(turning);
    const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new CodedError('LISTEN_FAILED', `operations, ${address.host}:${address.port} (${why})`, { cause });
  }
  server.off('error', reject);
  server.on('error', (error) => log.warn({ cause: error.message }, 'operations server'));
  const { port } = server.address() as AddressInfo;
  log.info({ host: address.host, port }, 'operations server started');
  return {
    port,
    async stop() {
      clearInterval(turning);
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}
