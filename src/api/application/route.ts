import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import type { z } from 'zod';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { inTransaction } from '../../shared/database/transaction.ts';
import { CodedError } from '../../shared/errors.ts';
import { recordAuditEvent } from '../audit/audit-events.ts';
import type { Caller } from '../authentication/bearer-token.ts';
import type { CredentialRegistrations } from '../authentication/credential-registration.ts';
import type { KnownCallers } from '../authentication/known-callers.ts';
import { possiblePayloads } from '../authentication/signed-payload.ts';
import type { CheckedUserAction, UserActions } from '../authentication/user-action.ts';
import type { Keys } from '../keys.ts';
import type { Allowed, Operation } from '../permissions/operations.ts';
import { BeliefOutdated, type Requester, type RequestQueue } from '../queue/request.ts';
import type { WebhookSecrets } from '../webhooks/secrets.ts';
import type { WebhookSender } from '../webhooks/send.ts';
import { conforming, type JsonBody, noBody } from './json-body.ts';

/** What the routes work with. */
export interface RouteTools {
  readonly configuration: ApiConfiguration;
  /** Durable: what is answered is on disk. */
  readonly pool: pg.Pool;
  readonly keys: Keys;
  readonly queue: RequestQueue;
  readonly userActions: UserActions;
  readonly credentialRegistrations: CredentialRegistrations;
  readonly callers: KnownCallers;
  readonly webhookSecrets: WebhookSecrets;
  readonly webhookSender: WebhookSender;
}

export interface Call<Body, Query> {
  readonly requester: Requester;
  /** The URL's pathname as it was written. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** The body as it was sent, for echoes and fingerprints. */
  readonly sent: unknown;
  readonly allowed: Allowed;
  /** Set when the caller was taken from memory: its rights as they were read. */
  readonly believed?: Believed;
  /** For what a call needs beside its endpoint's permission. @throws NOT_PERMITTED */
  readonly requirePermission: (operation: string) => void;
}

/** What was not asked of the database: whoever has an effect for this caller checks it. */
export type Believed = Pick<Caller, 'rightsVersion'>;

/** What is known of a call without making it: docs/openapi is printed from these. */
export interface Endpoint<Body, Query> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `:name` for parameters. */
  readonly path: string;
  readonly summary: string;
  /** Undefined: every account may. */
  readonly permission: Operation | undefined;
  /** Undefined: whatever was sent (SDKs send `{}` with DELETE) is not looked at. */
  readonly body?: z.ZodType<Body>;
  /** Refuses, before the schema, what the Dfns API knows and this one does not. @throws UNSUPPORTED */
  readonly refuse?: (sent: unknown) => void;
  readonly query?: z.ZodType<Query>;
  readonly answer: z.ZodType;
}

/** A call that changes nothing, or needs no user action for it: the bearer token is enough. */
export interface PlainEndpoint<Body, Query> extends Endpoint<Body, Query> {
  readonly respond: (call: Call<Body, Query>, tools: RouteTools) => Promise<object>;
}

/** A call that the caller's credential signed, and whose effect is a request in the queue: that consumes the user action. */
export interface QueuedEndpoint<Body, Query> extends Endpoint<Body, Query> {
  /**
   * The caller may be taken from memory: the only effect is a request that the queue inserts, and it throws
   * BeliefOutdated where what was believed does not hold any more. The call is then begun anew, with nothing believed.
   */
  readonly believes?: boolean;
  readonly respond: (call: Call<Body, Query>, userAction: CheckedUserAction, tools: RouteTools) => Promise<object>;
}

export interface Change {
  /** Id of what was made or changed, for the audit. */
  readonly effect: string;
  /** The answer, or how it is found once the change is on disk. */
  readonly answer: object | (() => Promise<object>);
}

/** A call that the caller's credential signed, and whose effect is in one transaction with its audit row. */
export interface ChangingEndpoint<Body, Query> extends Endpoint<Body, Query> {
  readonly change: (call: Call<Body, Query>, client: pg.ClientBase, tools: RouteTools) => Promise<Change>;
}

/** A route as the server knows it; the files of routes/ make them. */
export interface Route {
  readonly endpoint: Endpoint<unknown, unknown>;
  /** Whether the call needs a user action. */
  readonly signed: boolean;
  readonly register: (server: FastifyInstance, tools: RouteTools) => void;
}

export function plainRoute<Body = undefined, Query = undefined>(endpoint: PlainEndpoint<Body, Query>): Route {
  return route(endpoint, false, (tools) => async (request) => {
    return await endpoint.respond(readCall(endpoint, request), tools);
  });
}

export function queuedRoute<Body = undefined, Query = undefined>(endpoint: QueuedEndpoint<Body, Query>): Route {
  const handlerOf = (tools: RouteTools) => async (request: FastifyRequest) => {
    const respond = async (): Promise<object> => {
      const call = readCall(endpoint, request);
      return await endpoint.respond(call, checkUserAction(tools, request, call), tools);
    };
    try {
      return await respond();
    } catch (error) {
      if (!(error instanceof BeliefOutdated)) throw error;
      await admit(tools, endpoint.permission, request);
      return await respond();
    }
  };
  return route(endpoint, true, handlerOf);
}

export function changingRoute<Body = undefined, Query = undefined>(endpoint: ChangingEndpoint<Body, Query>): Route {
  return route(endpoint, true, (tools) => async (request) => {
    const call = readCall(endpoint, request);
    const { answer } = await changeOnce(tools, call, checkUserAction(tools, request, call), (client) =>
      endpoint.change(call, client, tools),
    );
    return typeof answer === 'function' ? await answer() : answer;
  });
}

/**
 * One transaction: the change, and the audit row that consumes the user action. A second use finds the row and undoes
 * what it did.
 * @throws USER_ACTION_USED
 */
export async function changeOnce(
  { pool }: RouteTools,
  { requester }: Pick<Call<unknown, unknown>, 'requester'>,
  userAction: CheckedUserAction,
  work: (client: pg.ClientBase) => Promise<Change>,
): Promise<Change> {
  return await inTransaction(pool, async (client) => {
    const change = await work(client);
    await recordAuditEvent(client, requester, userAction, change.effect);
    return change;
  });
}

function route<Body, Query>(
  endpoint: Endpoint<Body, Query> & { readonly believes?: boolean },
  signed: boolean,
  handlerOf: (tools: RouteTools) => (request: FastifyRequest) => Promise<object>,
): Route {
  const { method, path: url, believes = false } = endpoint;
  return {
    endpoint: endpoint as Endpoint<unknown, unknown>,
    signed,
    register(server, tools) {
      const onRequest = (request: FastifyRequest) => (believes ? believe : admit)(tools, endpoint.permission, request);
      server.route({ method, url, onRequest, handler: handlerOf(tools) });
    },
  };
}

const callerName = 'caller';

/** Once per server, before its routes. */
export function prepareRequests(server: FastifyInstance): void {
  server.decorateRequest(callerName, null);
}

interface Admitted {
  readonly caller: Caller;
  readonly fromMemory: boolean;
}

/** Before the body is read: who may not call cannot make this process keep a megabyte. */
async function admit(
  { callers }: RouteTools,
  permission: Operation | undefined,
  request: FastifyRequest,
): Promise<void> {
  const caller = await callers.read(request.headers.authorization);
  if (permission !== undefined) requirePermission(caller, permission);
  request.setDecorator<Admitted>(callerName, { caller, fromMemory: false });
}

/** Only what lets a call in is believed: who might have to be refused is looked up. */
async function believe(tools: RouteTools, permission: Operation | undefined, request: FastifyRequest): Promise<void> {
  const caller = tools.callers.recall(request.headers.authorization);
  if (caller === undefined || (permission !== undefined && !caller.allowed.has(permission))) {
    await admit(tools, permission, request);
  } else request.setDecorator<Admitted>(callerName, { caller, fromMemory: true });
}

function requirePermission({ requester, allowed }: Caller, operation: string): void {
  if (allowed.has(operation)) return;
  // The sentence of the Dfns API, whole.
  throw new CodedError(
    'NOT_PERMITTED',
    `CustomerEmployee ${requester.serviceAccount} is not authorized to perform operation (${operation})`,
  );
}

/** In this order: who calls and may it (before this), what is asked, is that valid; then, was exactly this signed. */
function readCall<Body, Query>(endpoint: Endpoint<Body, Query>, request: FastifyRequest): Call<Body, Query> {
  const { caller, fromMemory } = request.getDecorator<Admitted>(callerName);
  const parameters = request.params as Record<string, string>;
  // No id looks otherwise; and some of what does cannot even be asked of the database.
  const strange = Object.values(parameters).find((value) => !/^[\x21-\x7e]{1,100}$/.test(value));
  if (strange !== undefined) throw new CodedError('NOT_FOUND', 'no id looks like this');
  const query = endpoint.query === undefined ? undefined : conforming(endpoint.query, storable(request.query));
  const { value: sent } = bodyOf(request);
  if (endpoint.body !== undefined) endpoint.refuse?.(sent);
  const body = endpoint.body === undefined ? undefined : conforming(endpoint.body, sent);
  return {
    requester: caller.requester,
    allowed: caller.allowed,
    ...(fromMemory ? { believed: { rightsVersion: caller.rightsVersion } } : {}),
    path: pathname(request),
    parameters,
    query: query as Query,
    body: body as Body,
    sent,
    requirePermission: (operation) => requirePermission(caller, operation),
  };
}

/** PostgreSQL keeps no NUL. */
function storable(query: unknown): unknown {
  if (JSON.stringify(query).includes('\\u0000')) throw new CodedError('BAD_REQUEST', 'the query holds NUL');
  return query;
}

function checkUserAction(
  { userActions }: RouteTools,
  request: FastifyRequest,
  { requester, path }: Pick<Call<unknown, unknown>, 'requester' | 'path'>,
): CheckedUserAction {
  const { text, value } = bodyOf(request);
  const token = request.headers['x-dfns-useraction'];
  return userActions.check(requester, typeof token === 'string' ? token : undefined, {
    method: request.method,
    path,
    payloads: possiblePayloads(text, value),
  });
}

function pathname(request: FastifyRequest): string {
  const end = request.url.search(/[?#]/);
  return end === -1 ? request.url : request.url.slice(0, end);
}

/** What the content type parser of server.ts made; a request without a body never reaches it. */
function bodyOf(request: FastifyRequest): JsonBody {
  return (request.body as JsonBody | null | undefined) ?? noBody;
}
