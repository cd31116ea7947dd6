import { routes } from '../../src/api/application/routes/index.ts';
import { applicationDocument } from '../../src/api/openapi/application-document.ts';
import { driverDocument } from '../../src/api/openapi/driver-document.ts';

/** docs/openapi/NAME.json: what each listener serves as /openapi.json. */
export const openApiDocuments: Readonly<Record<'application' | 'driver', () => string>> = {
  application: () => printed(applicationDocument(routes)),
  driver: () => printed(driverDocument()),
};

function printed(document: Record<string, unknown>): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}
