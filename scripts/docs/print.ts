import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printValuesSchema } from '../chart/values-schema.ts';
import { configurationPage } from './configuration.ts';
import { errorsPage } from './errors.ts';
import { openApiDocuments } from './openapi.ts';

/** Prints the pages that are made from the code; test/docs.test.ts fails when one is out of date. */
const docs = join(import.meta.dirname, '../../docs');
writeFileSync(join(docs, 'configuration.md'), configurationPage());
writeFileSync(join(docs, 'errors.md'), errorsPage());
writeFileSync(join(docs, '../helm/values.schema.json'), printValuesSchema());
for (const [name, print] of Object.entries(openApiDocuments))
  writeFileSync(join(docs, 'openapi', `${name}.json`), print());
