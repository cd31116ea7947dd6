import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asCodedError, CodedError, catalogueEntry } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { challengeVerdict, signedChallenge } from './challenge-check.ts';
import type { Upstream } from './upstream.ts';

/**
 * `hsm-driver guard`: stands between an application and the signing API for user actions only, as the Dfns SDK's
 * `baseAuthUrl`. An SDK signs whatever challenge it is sent; the guard lets through only a challenge that holds the hash
 * of the very method, path and payload that the SDK is about to send. It holds no secret and decides nothing else: the
 * API may still refuse, and the driver still checks.
 */
export interface Guard {
  /** Where it listens, as `baseAuthUrl`. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface GuardParts {
  readonly upstream: Upstream;
  /** 0 = any. On 127.0.0.1, always: what passes here is not encrypted. */
  readonly port: number;
  readonly log: Log;
  /** Unix ms. */
  readonly now?: () => number;
}

const largestBody = 2_000_000;
/** Challenges that were let through and may come back signed. More than these within minutes is no application. */
const mostChallenges = 100_000;

/** @throws LISTEN_FAILED */
export async function startGuard({ upstream, port, log, now = Date.now }: GuardParts): Promise<Guard> {
  const passed = new Set<string>();

  /**
   * An answer is 200, which is looked at, or an error. Any other success would be believed by an SDK, which asks only
   * whether the status is below 300, and no answer of this API has one.
   * @throws GUARD_REFUSED, GUARD_UPSTREAM_LOST
   */
  async function ask(path: string, { headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    const { status, body: bytes, retryAfter } = await upstream.post(path, headers, body);
    if (status !== 200 && status < 400)
      throw new CodedError(
        'GUARD_REFUSED',
        `the API answered ${path} with status ${status}, which is neither 200 nor an error`,
      );
    return { status, bytes, retryAfter };
  }

  async function start(request: IncomingMessage): Promise<Answer> {
    const body = await bodyOf(request);
    const given = await ask('/auth/action/init', request, body);
    if (given.status !== 200) return given;
    const verdict = challengeVerdict(jsonOf(body), jsonOf(given.bytes), now());
    if (!verdict.passes) throw new CodedError('GUARD_REFUSED', verdict.why);
    passed.add(verdict.challenge);
    // The one that came first goes: nobody signs it any more.
    if (passed.size > mostChallenges) passed.delete(passed.values().next().value ?? '');
    return given;
  }

  async function sign(request: IncomingMessage): Promise<Answer> {
    const body = await bodyOf(request);
    const challenge = signedChallenge(jsonOf(body));
    // Not deleted: a client that lost the answer asks again, and it is one user action however often it is signed.
    if (challenge === undefined || !passed.has(challenge))
      throw new CodedError('GUARD_REFUSED', 'what was signed is no challenge that came through here');
    return await ask('/auth/action', request, body);
  }

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { method, url } = request;
    // A page in a browser that names this machine by a name of its own.
    if (!isLocalHost(request.headers.host)) throw new CodedError('GUARD_REFUSED', 'it was called by another name');
    if (method === 'POST' && url === '/auth/action/init') return await start(request);
    if (method === 'POST' && url === '/auth/action') return await sign(request);
    throw new CodedError('NOT_FOUND', `${method} ${url}: the guard is a baseAuthUrl, not a baseUrl`);
  }

  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
    answer(request).then(
      (given) => send(response, given),
      (thrown: unknown) => send(response, refusalOf(asCodedError(thrown), log)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new CodedError('LISTEN_FAILED', `127.0.0.1:${port}`, { cause })));
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeIdleConnections();
      await new Promise((resolve) => server.close(resolve));
      await upstream.close();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly retryAfter: string | undefined;
}

function send(response: ServerResponse, { status, bytes, retryAfter }: Answer): void {
  response
    .writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    })
    .end(bytes);
}

/** In the shape of the API’s own errors, which SDKs show to their callers. */
function refusalOf(error: CodedError, log: Log): Answer {
  const { code, detail, message } = error;
  if (code === 'GUARD_REFUSED') log.error({ code, cause: detail }, 'refused');
  else log.warn({ code, cause: detail }, 'not passed on');
  const bytes = Buffer.from(JSON.stringify({ error: { code, message } }));
  return { status: catalogueEntry(code).status ?? 502, bytes, retryAfter: undefined };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > largestBody) throw new CodedError('TOO_LARGE', `more than ${largestBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isLocalHost(host: string | undefined): boolean {
  return /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host ?? '');
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
