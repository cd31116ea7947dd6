import { z } from 'zod';
import { networks } from '../../shared/chains/networks.ts';
import { signatureBody } from '../../shared/chains/signature-body.ts';
import { walletNetworks } from '../../shared/chains/wallet-network.ts';
import { keySchema } from '../application/key-answer.ts';
import type { Endpoint, Route } from '../application/route.ts';
import { serviceAccountSchema } from '../application/service-account-answer.ts';
import { signatureSchema } from '../application/signature-answer.ts';
import { walletSchema } from '../application/wallet-answer.ts';
import { webhookEventSchema, webhookSchema } from '../application/webhook-answer.ts';
import { type JsonSchema, jsonContent, jsonSchema, namedSchemas, withReferences } from './schema.ts';

const errorSchema = z.object({
  error: z.object({
    id: z.string().describe('New for every answer; the server’s log has it'),
    status: z.number(),
    message: z.string(),
    details: z.looseObject({ code: z.string().describe('As in docs/errors.md') }),
  }),
  message: z.string(),
});

/** Schemas that are used in several places, by their names in the document. */
function named(): ReadonlyMap<string, JsonSchema> {
  return new Map([
    ['Error', jsonSchema(errorSchema, 'output')],
    ['Network', jsonSchema(z.enum(networks), 'input')],
    ['WalletNetwork', jsonSchema(z.enum(walletNetworks), 'input')],
    ['SignatureBody', jsonSchema(signatureBody, 'input')],
    ['SignatureRequest', jsonSchema(signatureSchema, 'output')],
    ['Key', jsonSchema(keySchema, 'output')],
    ['Wallet', jsonSchema(walletSchema, 'output')],
    ['ServiceAccount', jsonSchema(serviceAccountSchema, 'output')],
    ['Webhook', jsonSchema(webhookSchema, 'output')],
    ['WebhookEvent', jsonSchema(webhookEventSchema, 'output')],
  ]);
}

/** The OpenAPI 3.1 document of the application listener, from the schemas that check the calls. */
export function applicationDocument(routes: readonly Route[]): Record<string, unknown> {
  const schemas = named();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { endpoint, signed } of routes) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: operation(endpoint, signed) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Signing API',
      version: '1',
      description:
        'The part of the Dfns API that keys, wallets and signatures need. Calls that change something need the header ' +
        'x-dfns-useraction: POST /auth/action/init, sign the challenge, POST /auth/action.',
    },
    security: [{ bearer: [] }],
    paths: withReferences(paths, schemas),
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: namedSchemas(schemas),
      responses: {
        Error: {
          description: 'Every answer that is no success',
          content: jsonContent({ $ref: '#/components/schemas/Error' }),
        },
      },
    },
  };
}

function operation(endpoint: Endpoint<unknown, unknown>, signed: boolean): Record<string, unknown> {
  const { method, path, summary, permission, body, query, answer } = endpoint;
  const refused = answer instanceof z.ZodNever;
  return {
    operationId: operationId(method, path),
    summary,
    ...(permission === undefined ? {} : { description: `Permission: ${permission}` }),
    parameters: [...pathParameters(path), ...queryParameters(query), ...(signed ? [userActionHeader] : [])],
    ...(body === undefined ? {} : { requestBody: { required: true, content: jsonContent(jsonSchema(body, 'input')) } }),
    responses: {
      ...(refused ? {} : { 200: { description: 'Done', content: jsonContent(jsonSchema(answer, 'output')) } }),
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

const userActionHeader = {
  name: 'x-dfns-useraction',
  in: 'header',
  required: true,
  description: 'The token that POST /auth/action gave for exactly this method, path and body; good for one call',
  schema: { type: 'string' },
};

function pathParameters(path: string): unknown[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,100}$' },
  }));
}

function queryParameters(query: z.ZodType | undefined): unknown[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(query, 'input') as {
    properties?: Record<string, JsonSchema>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
}

function operationId(method: string, path: string): string {
  const words = path.split(/\W+/).filter((word) => word !== '');
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}
