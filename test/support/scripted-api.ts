import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Test } from 'tap';
import type { SignedHead } from '../../src/shared/audit/signed-head.ts';
import {
  type Acknowledgement,
  type AuditHeadAnswer,
  type LeaseCall,
  type LeasedRequest,
  leaseCall,
  type Outcome,
  type OutcomeResult,
  outcomesCall,
  releaseCall,
} from '../../src/shared/driver-protocol.ts';
import type { TestCertificates } from './certificates.ts';
import { until } from './until.ts';

/**
 * The driver's side of a signing API, played by a test: real TLS with client certificates, real HTTP, driver protocol
 * v1, and a queue in memory with the rules of the real one (what an instance does not hold goes back). A test can lose
 * answers, refuse calls, stop and come back.
 */
export interface ScriptedApi {
  readonly address: string;
  readonly port: number;
  /** Queues a request; `lease` is chosen at delivery. */
  offer(request: Offer): void;
  /** Gives the request to its holder's next lease call again, or to anybody, with a new lease. */
  redeliver(id: string, change?: Partial<Offer>): void;
  /** Every outcome that was reported, in order, by request id. */
  readonly outcomes: Map<string, Outcome['result'][]>;
  outcome(id: string, limitMs?: number): Promise<OutcomeResult>;
  readonly leaseCalls: LeaseCall[];
  /** Heads of audit chains, as they came. */
  readonly auditHeads: SignedHead[];
  /** How they are answered; default: stored. */
  answerHead: ((head: SignedHead) => AuditHeadAnswer) | undefined;
  /** Instances ended by a release call. */
  readonly released: string[];
  /** Called before a call is worked on; what it returns is done instead. */
  intercept: ((path: string, node: string) => Interception | undefined) | undefined;
  /** How the next outcomes are acknowledged; default: as the real API does. */
  acknowledge: ((outcome: Outcome) => Acknowledgement | undefined) | undefined;
  /** Who may call, by common name. */
  readonly listed: Set<string>;
  /** Closes the port and all connections. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export type Offer = LeasedRequest extends infer One ? (One extends LeasedRequest ? Omit<One, 'lease'> : never) : never;

/** `lose`: the call is carried out, its answer is not sent. `drop`: the connection ends before anything is done. */
export type Interception = 'lose' | 'drop' | { readonly status: number; readonly body: unknown };

interface Entry {
  offer: Offer;
  holder: string | undefined;
  lease: string;
  ended: boolean;
}

export async function openScriptedApi(t: Test, certificates: TestCertificates): Promise<ScriptedApi> {
  const entries = new Map<string, Entry>();
  const ended = new Set<string>();
  const waiting = new Set<() => void>();
  let server: Server | undefined;
  let port = 0;

  const api: ScriptedApi = {
    get address() {
      return `https://127.0.0.1:${port}`;
    },
    get port() {
      return port;
    },
    offer(request) {
      entries.set(request.id, { offer: request, holder: undefined, lease: '', ended: false });
      wakeAll();
    },
    redeliver(id, change = {}) {
      const entry = entries.get(id);
      if (entry === undefined) throw new Error(`no request ${id}`);
      entry.offer = { ...entry.offer, ...change } as Offer;
      Object.assign(entry, { holder: undefined, ended: false });
      wakeAll();
    },
    outcomes: new Map(),
    outcome: (id, limitMs) => until(`outcome of ${id}`, () => api.outcomes.get(id)?.at(-1), limitMs),
    leaseCalls: [],
    auditHeads: [],
    answerHead: undefined,
    released: [],
    intercept: undefined,
    acknowledge: undefined,
    listed: new Set(['node-1', 'node-2']),
    async stop() {
      const stopping = server;
      server = undefined;
      wakeAll();
      stopping?.closeAllConnections();
      if (stopping !== undefined) await new Promise((resolve) => stopping.close(resolve));
    },
    async start() {
      server = createServer(
        {
          ca: readFileSync(certificates.clientCaFile),
          cert: readFileSync(certificates.server.certificateFile),
          key: readFileSync(certificates.server.privateKeyFile),
          requestCert: true,
          rejectUnauthorized: false,
        },
        (request, response) => void answer(request, response),
      );
      await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve));
      port = (server.address() as AddressInfo).port;
    },
  };

  function wakeAll(): void {
    for (const wake of waiting) wake();
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const refuse = (status: number, code: string, message: string): void => send(status, { error: { code, message } });
    const socket = request.socket as TLSSocket;
    const path = request.url ?? '';
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (!socket.authorized) return refuse(401, 'CLIENT_CERTIFICATE_MISSING', String(socket.authorizationError));
    const node = String(socket.getPeerCertificate().subject.CN);
    if (!api.listed.has(node)) return refuse(403, 'DRIVER_NOT_LISTED', node);

    const interception = api.intercept?.(path, node);
    if (interception === 'drop') return void socket.destroy();
    if (typeof interception === 'object') return send(interception.status, interception.body);
    const gone = new Promise<void>((resolve) => response.once('close', () => resolve()));
    const result = await work(path, JSON.parse(Buffer.concat(chunks).toString('utf8')), gone);
    if (interception === 'lose') return void socket.destroy();
    if (result === undefined) return refuse(409, 'INSTANCE_ENDED', 'ended');
    send(200, result);
  }

  async function work(path: string, body: unknown, gone: Promise<void>): Promise<unknown> {
    switch (path) {
      case '/driver/v1/lease':
        return await withHead(leaseCall.parse(body), (call) => lease(call, gone));
      case '/driver/v1/outcomes':
        return await withHead(outcomesCall.parse(body), outcomes);
      case '/driver/v1/release':
        return release(releaseCall.parse(body).instance);
      default:
        throw new Error(`no such call: ${path}`);
    }
  }

  async function withHead<Call extends { readonly auditHead?: SignedHead | undefined }>(
    call: Call,
    answer: (call: Call) => unknown,
  ): Promise<unknown> {
    if (call.auditHead !== undefined) api.auditHeads.push(call.auditHead);
    const auditHead = call.auditHead && (api.answerHead ?? (() => 'stored' as const))(call.auditHead);
    const rest = await answer(call);
    return typeof rest === 'object' ? { ...rest, auditHead } : rest;
  }

  async function lease(call: LeaseCall, gone: Promise<void>): Promise<unknown> {
    api.leaseCalls.push(call);
    if (ended.has(call.instance)) return undefined;
    for (const entry of entries.values()) {
      if (entry.holder === call.instance && !call.holding.includes(entry.offer.id)) entry.holder = undefined;
    }
    const deadline = performance.now() + call.waitMs;
    for (;;) {
      const free = [...entries.values()].filter((entry) => entry.holder === undefined && !entry.ended);
      const given = free.slice(0, call.max).map((entry) => give(entry, call.instance));
      const left = deadline - performance.now();
      if (given.length > 0 || left <= 0 || server === undefined) return { requests: given };
      if (!(await change(left, gone))) return { requests: [] };
    }
  }

  function give(entry: Entry, instance: string): LeasedRequest {
    entry.holder = instance;
    entry.lease = randomUUID();
    return { ...entry.offer, lease: entry.lease } as LeasedRequest;
  }

  /** @returns false when the caller's connection has ended. */
  async function change(ms: number, gone: Promise<void>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const wake = (): void => resolve(true);
    const timer = setTimeout(wake, ms);
    waiting.add(wake);
    void gone.then(() => resolve(false));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(wake);
    }
  }

  function outcomes(call: { outcomes: readonly Outcome[] }): unknown {
    return { outcomes: call.outcomes.map((outcome) => ({ id: outcome.id, acknowledgement: accept(outcome) })) };
  }

  function accept(outcome: Outcome): Acknowledgement {
    const scripted = api.acknowledge?.(outcome);
    if (scripted !== undefined) return scripted;
    const entry = entries.get(outcome.id);
    if (entry === undefined) return 'unknown';
    if (entry.ended) return 'duplicate';
    if (outcome.result.kind === 'Error' && entry.lease !== outcome.lease) return 'unknown';
    api.outcomes.set(outcome.id, [...(api.outcomes.get(outcome.id) ?? []), outcome.result]);
    // A retryable error would go to another slot; here it ends, so that a test sees exactly one.
    entry.ended = true;
    return 'accepted';
  }

  function release(instance: string): unknown {
    api.released.push(instance);
    ended.add(instance);
    for (const entry of entries.values()) if (entry.holder === instance) entry.holder = undefined;
    wakeAll();
    return {};
  }

  await api.start();
  t.teardown(() => api.stop());
  return api;
}
