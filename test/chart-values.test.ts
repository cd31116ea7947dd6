import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse, parseDocument, visit } from 'yaml';
import {
  configKeys,
  type JsonSchema,
  printValuesSchema,
  valuesSchema,
  writtenByChart,
} from '../scripts/chart/values-schema.ts';
import { apiConfiguration } from '../src/shared/configuration/api.ts';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { at, chart, openHelm } from './support/chart/render.ts';

/** The chart’s values: strict, commented, used, and able to set every key of the product. */
const valuesText = readFileSync(join(chart, 'values.yaml'), 'utf8');
const helm = await openHelm(t);

t.test('the schema of the values is the one that is printed from the product’s own', async (t) => {
  t.equal(
    readFileSync(join(chart, 'values.schema.json'), 'utf8'),
    printValuesSchema(),
    'print it again: node scripts/docs/print.ts',
  );
});

t.test('every value has a comment, above it or beside it', async (t) => {
  const lines = valuesText.split('\n');
  const lineOf = (offset: number) => valuesText.slice(0, offset).split('\n').length - 1;
  let seen = 0;
  visit(parseDocument(valuesText), {
    Pair(_, { key }) {
      const line = lineOf((key as { range: [number] }).range[0]);
      seen += 1;
      const commented = (lines[line - 1] ?? '').trim().startsWith('#') || / # \S/.test(lines[line] ?? '');
      t.ok(commented, `values.yaml, line ${line + 1}: ${String(key)}`);
    },
  });
  t.ok(seen > 150);
});

/** Paths of all keys of a schema; what is open or a list is one key. */
function keys(schema: JsonSchema, prefix = ''): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    return member.properties === undefined ? [path] : keys(member, path);
  });
}

t.test('every value is used by a template', async (t) => {
  const templates = readdirSync(join(chart, 'templates'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(tpl|yaml|txt)$/.test(name))
    .map((name) => readFileSync(join(chart, 'templates', name), 'utf8'))
    .join('\n');
  const used = (path: string): boolean => {
    const [last = ''] = path.split('.').slice(-1);
    return new RegExp(`[.$a-z]\\.${last}\\b|"${last}"`).test(templates);
  };
  for (const path of keys(valuesSchema())) {
    // What goes on to the product as it is.
    if (path === 'global' || /(^|\.)(config|rotation)(\.|$)/.test(path)) continue;
    t.ok(used(path), path);
  }
  t.notOk(used('driver.nothingReadsThis'));
});

t.test('the chart can set every key of both configurations', async (t) => {
  const parts = [
    { part: 'driver', schema: driverConfiguration, written: writtenByChart.driver, kind: 'signing-hsm-signing-driver' },
    { part: 'api', schema: apiConfiguration, written: writtenByChart.api, kind: 'signing-hsm-signing-api' },
  ] as const;
  const full = await helm.render('cloudhsm.yaml');
  for (const { part, schema, written, kind } of parts) {
    const all = keys(configKeys(schema, []));
    const free = keys(configKeys(schema, written));
    const inValues = keys(at(valuesSchema(), 'properties', part, 'properties', 'config') as JsonSchema);
    t.strictSame(inValues, free, `${part}.config has what the chart does not write itself`);
    const map = full.find(({ kind: one, metadata }) => one === 'ConfigMap' && metadata.name === kind);
    const [file = ''] = Object.values(at(map, 'data') as Record<string, string>);
    const configuration = parse(file);
    for (const key of all.filter((one) => !free.includes(one))) {
      // The owner’s role is in the migration job’s file and nowhere else.
      // Its own test: test/chart.test.ts.
      if (key.startsWith('database.owner') || key.startsWith('rotation')) continue;
      t.not(at(configuration, ...key.split('.')), undefined, `${part}: ${key} is written by the chart`);
    }
  }
});

t.test('what config says arrives in the configuration, for all nodes and for one', async (t) => {
  const slots = [{ name: 'a', module: '/m.so', tokenLabel: 'a', pin: { secret: 's', key: 'k' } }];
  const other = [{ ...slots[0], name: 'b', tokenLabel: 'b' }];
  const manifests = await helm.render({
    driver: {
      config: { log: { level: 'debug' } },
      nodes: [
        { tls: { secret: 'a' }, slots, config: { log: { level: 'warn' } } },
        { name: 'other', tls: { secret: 'b' }, slots: other },
      ],
    },
  });
  const map = manifests.find(
    ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'signing-hsm-signing-driver',
  );
  const files = Object.values(at(map, 'data') as Record<string, string>).map((text) =>
    driverConfiguration.parse(parse(text)),
  );
  t.match(files, [
    { node: 'signing-hsm-signing-driver-0', log: { level: 'warn' } },
    { node: 'other', log: { level: 'debug' } },
  ]);
});
