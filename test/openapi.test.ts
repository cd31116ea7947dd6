import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openApiDocuments } from '../scripts/docs/openapi.ts';
import { routes } from '../src/api/application/routes/index.ts';
import { operations } from '../src/api/permissions/operations.ts';
import { call } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

const application = await openLiveApplication(t);
const documents = join(import.meta.dirname, '../docs/openapi');

t.test('the documents that are checked in are those that the schemas give', async (t) => {
  for (const [name, print] of Object.entries(openApiDocuments))
    t.equal(
      readFileSync(join(documents, `${name}.json`), 'utf8'),
      print(),
      'print it again: node scripts/docs/print.ts',
    );
});

t.test('the application listener serves its document, to everybody', async (t) => {
  const { status, body } = await call(application, undefined, 'GET', '/openapi.json');
  t.equal(status, 200);
  t.same(body, JSON.parse(openApiDocuments.application()));
});

t.test('every reference leads somewhere, and every operation has a name of its own', async (t) => {
  for (const [name, print] of Object.entries(openApiDocuments)) {
    const text = print();
    const document = JSON.parse(text);
    const references = [...text.matchAll(/"\$ref": "#\/([^"]+)"/g)].map(([, path = '']) => path);
    t.ok(references.length > 0);
    for (const path of new Set(references)) {
      const found = path.split('/').reduce((node, member) => node?.[member], document);
      t.type(found, 'object', `${name} ${path}`);
    }
    const ids = [...text.matchAll(/"operationId": "(\w+)"/g)].map(([, id]) => id);
    t.equal(new Set(ids).size, ids.length);
  }
});

t.test('every path is one that the server knows, and needs what its document says', async (t) => {
  for (const { endpoint } of routes) {
    const path = endpoint.path.replace(/:\w+/g, 'x');
    const { status } = await call(application, undefined, endpoint.method, path);
    t.equal(status, 401, `${endpoint.method} ${path}`);
    if (endpoint.permission !== undefined) t.ok(operations.includes(endpoint.permission));
  }
});
