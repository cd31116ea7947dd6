import type { KeyObject } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import type { ApiConfiguration } from '../../shared/configuration/api.ts';
import { authenticate } from '../authentication/bearer-token.ts';
import { possiblePayloads } from '../authentication/signed-payload.ts';
import type { CheckedUserAction, UserActions } from '../authentication/user-action.ts';
import type { Requester, RequestQueue } from '../queue/request.ts';
import { type JsonBody, noBody } from './json-body.ts';

/** What the routes work with. */
export interface RouteTools {
  readonly configuration: ApiConfiguration;
  readonly pool: pg.Pool;
  readonly queue: RequestQueue;
  readonly userActions: UserActions;
  /** Pinned attestation public keys by key store. */
  readonly attestationKeys: ReadonlyMap<string, KeyObject>;
}

export interface Call<Body> {
  readonly requester: Requester;
  /** The URL's pathname as it was written. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly body: Body;
}

interface Endpoint<Body> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `:name` for parameters. */
  readonly path: string;
  /** @throws CodedError for a body that is not valid. */
  readonly readBody: (value: unknown) => Body;
}

/** A call that only needs the bearer token. */
export interface PlainRoute<Body> extends Endpoint<Body> {
  readonly answer: (call: Call<Body>) => Promise<object>;
}

/** A call that changes something: the caller's credential must have signed it. */
export interface SignedRoute<Body> extends Endpoint<Body> {
  readonly answer: (call: Call<Body>, userAction: CheckedUserAction) => Promise<object>;
}

/** A route as the server knows it; each file of routes/ makes one. */
export type Route = (server: FastifyInstance) => void;

export function plainRoute<Body>(tools: RouteTools, { method, path, readBody, answer }: PlainRoute<Body>): Route {
  return (server) => {
    server.route({
      method,
      url: path,
      ...authentication(tools.pool),
      handler: async (request) => await answer(call(request, readBody(bodyOf(request).value))),
    });
  };
}

/** In this order: who calls, is the body valid, was exactly this request signed. */
export function signedRoute<Body>(tools: RouteTools, { method, path, readBody, answer }: SignedRoute<Body>): Route {
  return (server) => {
    server.route({
      method,
      url: path,
      ...authentication(tools.pool),
      handler: async (request) => {
        const { text, value } = bodyOf(request);
        const received = call(request, readBody(value));
        const token = request.headers['x-dfns-useraction'];
        const userAction = tools.userActions.check(received.requester, typeof token === 'string' ? token : undefined, {
          method,
          path: received.path,
          payloads: possiblePayloads(text, value),
        });
        return await answer(received, userAction);
      },
    });
  };
}

/** For routes without a body; whatever was sent (SDKs send `{}` with DELETE) is not looked at. */
export function ignoreBody(): undefined {
  return undefined;
}

const requesterName = 'requester';

/** Once per server, before its routes. */
export function prepareRequests(server: FastifyInstance): void {
  server.decorateRequest(requesterName, null);
}

/** Before the body is read: who may not call cannot make this process keep a megabyte. */
function authentication(pool: pg.Pool) {
  return {
    onRequest: async (request: FastifyRequest): Promise<void> => {
      request.setDecorator(requesterName, await authenticate(pool, request.headers.authorization));
    },
  };
}

function call<Body>(request: FastifyRequest, body: Body): Call<Body> {
  return {
    requester: request.getDecorator<Requester>(requesterName),
    path: pathname(request),
    parameters: request.params as Record<string, string>,
    body,
  };
}

function pathname(request: FastifyRequest): string {
  const end = request.url.search(/[?#]/);
  return end === -1 ? request.url : request.url.slice(0, end);
}

/** What the content type parser of server.ts made; a request without a body never reaches it. */
function bodyOf(request: FastifyRequest): JsonBody {
  return (request.body as JsonBody | null | undefined) ?? noBody;
}
