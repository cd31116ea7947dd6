import { buildConnector, type Dispatcher, Pool } from 'undici';
import type { z } from 'zod';
import type { ClientIdentity } from '../shared/client-identity.ts';
import type { ApiAccess } from '../shared/configuration/driver.ts';
import { refusal } from '../shared/driver-protocol.ts';
import { CodedError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { ApiTrouble } from '../shared/worker-report.ts';
import { type CertificateFiles, openCertificateFiles } from './certificate-files.ts';

/**
 * POST of JSON to the signing API over HTTP/1.1 with mutual TLS: the first address that answers is used until it fails,
 * then the next. Reports in the log when the API is lost and when it is back, once each.
 *
 * `pool.request`, never fetch: fetch costs four to five times the CPU.
 */
export interface ApiTransport {
  /**
   * @returns the body of a 200, checked.
   * @throws ApiFailure; CodedError INSTANCE_ENDED, after which no call of this instance will be answered; AbortError
   */
  post<Schema extends z.ZodType>(call: ApiCall<Schema>): Promise<z.infer<Schema>>;
  /** From a call that no address answered as it should, until that kind of call is answered again; as it was last. */
  readonly trouble: ApiTrouble | undefined;
  /** Of the client certificate, milliseconds since 1970. */
  readonly certificateExpiresAt: number;
  close(): Promise<void>;
}

export interface ApiCall<Schema extends z.ZodType> {
  readonly path: string;
  readonly body: unknown;
  readonly answer: Schema;
  /** How long the answer may take. */
  readonly patienceMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The API did not do what it was asked; the caller tries again later. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  readonly kind: ApiTrouble['kind'];

  constructor(kind: ApiTrouble['kind'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** lease and outcomes may be on the wire at once; the third is for the give-back beside an aborted lease call. */
const connections = 3;
const connectTimeoutMs = 2_000;
/** Connections are renewed so that load spreads again after an API process came back. */
const renewalMs = 300_000;

export function createApiTransport(api: ApiAccess, log: Log): ApiTransport {
  const certificates = openCertificateFiles(api, log);
  const connect = connector(certificates);
  const pools = api.addresses.map(
    (address) =>
      new Pool(address, {
        connections,
        pipelining: 1,
        allowH2: false,
        keepAliveTimeout: 60_000,
        clientTtl: Math.round(renewalMs * (0.8 + Math.random() * 0.4)),
        connect,
      }),
  );
  const reachability = createReachability(log, api.addresses);
  let current = 0;

  async function post<Schema extends z.ZodType>(call: ApiCall<Schema>): Promise<z.infer<Schema>> {
    const body = JSON.stringify(call.body);
    let failure = new ApiFailure('unreachable', 'no address is configured');
    for (let tried = 0; tried < pools.length; tried++) {
      const at = current;
      try {
        const answer = understood(call, await send(pools[at] as Pool, call, body));
        reachability.answered(call.path);
        return answer;
      } catch (error) {
        if (call.signal?.aborted === true || error instanceof CodedError) throw error;
        const next = asFailure(error);
        // Of several addresses, one that answers says more than one that does not.
        if (failure.kind !== 'unwell' || next.kind !== 'unreachable') failure = next;
        // Two calls that fail at once move on by one address, not by two.
        if (current === at) current = (at + 1) % pools.length;
        // Another process of the API would refuse for the same reason.
        if (failure.kind === 'refused') break;
      }
    }
    reachability.failed(call.path, failure);
    throw failure;
  }

  return {
    post,
    get trouble() {
      return reachability.trouble;
    },
    get certificateExpiresAt() {
      return certificates.expiresAt;
    },
    async close() {
      await Promise.all(pools.map((pool) => pool.destroy()));
    },
  };
}

/** Each new connection is made with the certificate that is on disk by then. */
function connector(certificates: CertificateFiles): buildConnector.connector {
  let made: { readonly identity: ClientIdentity; readonly connect: buildConnector.connector } | undefined;
  return (options, callback) => {
    const identity = certificates.current();
    if (made?.identity !== identity) {
      made = { identity, connect: buildConnector({ ...identity, timeout: connectTimeoutMs, allowH2: false }) };
    }
    made.connect(options, callback);
  };
}

async function send(pool: Pool, call: ApiCall<z.ZodType>, body: string): Promise<unknown> {
  const { path, patienceMs, signal } = call;
  const answer = await pool.request({
    method: 'POST',
    path,
    body,
    headers: { 'content-type': 'application/json' },
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
    ...(signal === undefined ? {} : { signal }),
  });
  if (answer.statusCode === 200) return await answer.body.json();
  throw await refused(answer);
}

function understood<Schema extends z.ZodType>(call: ApiCall<Schema>, body: unknown): z.infer<Schema> {
  const result = call.answer.safeParse(body);
  if (result.success) return result.data;
  throw new ApiFailure('refused', `the answer to ${call.path} is not driver protocol v1`, { cause: result.error });
}

async function refused({ statusCode, body }: Dispatcher.ResponseData): Promise<Error> {
  const text = await body.text();
  const parsed = refusal.safeParse(jsonOf(text));
  const { code, message } = parsed.success
    ? parsed.data.error
    : { code: `HTTP ${statusCode}`, message: text.slice(0, 200) };
  if (code === 'INSTANCE_ENDED') return new CodedError('INSTANCE_ENDED', 'the API takes no more calls of it');
  return new ApiFailure(statusCode >= 500 ? 'unwell' : 'refused', `${code}: ${message}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code = (first as { code?: unknown }).code;
  const text = first instanceof Error ? first.message : String(first);
  // Under TLS 1.3 a refused client certificate shows only as a connection that the other side closes.
  const message = typeof code === 'string' && !text.includes(code) ? `${code}: ${text}` : text;
  return new ApiFailure('unreachable', message, { cause: error });
}

/**
 * One line when the API is lost, or begins to refuse; one when it is back. Only the kind of call that failed can show
 * that it is back: otherwise an API that answers one kind and not the other would be lost and found without end. Of
 * several addresses one may be dead and another unwell, call by call: that is no change worth a line.
 */
function createReachability(log: Log, addresses: readonly string[]) {
  let lost: { readonly path: string; readonly since: number; readonly trouble: ApiTrouble } | undefined;
  return {
    get trouble(): ApiTrouble | undefined {
      return lost?.trouble;
    },
    failed(path: string, { kind, message }: ApiFailure): void {
      const before =
        lost !== undefined && (lost.trouble.kind === 'refused') === (kind === 'refused') ? lost : undefined;
      lost = { path: before?.path ?? path, since: lost?.since ?? performance.now(), trouble: { kind, said: message } };
      if (before === undefined) log.warn({ code: 'API_UNREACHABLE', cause: message, path, addresses }, lossOf(kind));
    },
    answered(path: string): void {
      if (lost?.path !== path) return;
      log.info({ ms: Math.round(performance.now() - lost.since) }, 'signing API answers again');
      lost = undefined;
    },
  };
}

function lossOf(kind: ApiTrouble['kind']): string {
  switch (kind) {
    case 'unreachable':
      return 'signing API cannot be reached';
    case 'unwell':
      return 'signing API answers with an error';
    case 'refused':
      return 'signing API refuses this driver';
    default:
      return kind satisfies never;
  }
}
