import { z } from 'zod';
import { apiConfiguration } from '../../src/shared/configuration/api.ts';
import { driverConfiguration } from '../../src/shared/configuration/driver.ts';
import { chartValues } from './values.ts';

/**
 * helm/values.schema.json: the chart’s own values, and under `config` every key of the product’s configuration that the
 * chart does not write itself. So Helm refuses an unknown key before anything is installed, and a new key of the product
 * can be set through the chart from the moment it exists.
 */
export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  required?: string[];
  default?: unknown;
  [member: string]: unknown;
}

/** What the chart writes from its own values: `config` cannot say it a second time. */
export const writtenByChart = {
  driver: [
    'kind',
    'node',
    'keyStore',
    'api.addresses',
    'api.caFile',
    'api.certificateFile',
    'api.privateKeyFile',
    'rotation',
    'database.host',
    'database.port',
    'database.name',
    'database.user',
    'database.passwordFile',
    'database.caFile',
    'database.owner',
    'ceremonyFile',
    'stateDirectory',
    'slots',
    'operations',
  ],
  api: [
    'kind',
    'application',
    'driver',
    'database.host',
    'database.port',
    'database.name',
    'database.user',
    'database.passwordFile',
    'database.caFile',
    'database.owner',
    'userActionSecretFile',
    'keyStores',
    'operations',
  ],
} as const;

export function valuesSchema(): JsonSchema {
  const schema = jsonSchema(chartValues);
  const driver = configKeys(driverConfiguration, writtenByChart.driver);
  set(schema, ['driver', 'config'], driver);
  set(schema, ['driver', 'nodes', 'config'], driver);
  set(schema, ['api', 'config'], configKeys(apiConfiguration, writtenByChart.api));
  set(schema, ['api', 'driver', 'nodes'], keysOf(apiConfiguration).properties?.driver?.properties?.nodes ?? {});
  return schema;
}

export const printValuesSchema = (): string => `${JSON.stringify(valuesSchema(), null, 1)}\n`;

/** The keys of a configuration, as far as they are optional in `config`: nothing is required below the top. */
export function configKeys(schema: z.ZodType, written: readonly string[]): JsonSchema {
  const keys = keysOf(schema);
  for (const path of written) remove(keys, path.split('.'));
  relax(keys);
  return keys;
}

function keysOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...keys } = jsonSchema(schema);
  return keys;
}

/** Draft 7: the newest that all versions of Helm 3 know. */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const json = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }) as JsonSchema;
  withoutDefaults(json);
  return json;
}

/** Defaults are the product’s; Helm would not apply them, and they would be printed twice. */
function withoutDefaults(schema: JsonSchema): void {
  delete schema.default;
  for (const member of Object.values(schema.properties ?? {})) withoutDefaults(member);
  if (schema.items !== undefined) withoutDefaults(schema.items);
}

/** Lists are given whole, so their items stay as they are. */
function relax(schema: JsonSchema): void {
  delete schema.required;
  for (const member of Object.values(schema.properties ?? {})) relax(member);
}

function remove(schema: JsonSchema, [key = '', ...rest]: readonly string[]): void {
  const members = schema.properties ?? {};
  const member = members[key];
  if (member === undefined) throw new Error(`the configuration has no key ${key}: see writtenByChart`);
  if (rest.length > 0) remove(member, rest);
  if (rest.length === 0 || Object.keys(member.properties ?? {}).length === 0) delete members[key];
}

function set(schema: JsonSchema, [key = '', ...rest]: readonly string[], value: JsonSchema): void {
  const members = (schema.items ?? schema).properties ?? {};
  const member = members[key];
  if (member === undefined) throw new Error(`the chart has no value ${key}`);
  if (rest.length > 0) set(member, rest, value);
  else members[key] = value;
}
