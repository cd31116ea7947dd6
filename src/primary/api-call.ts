import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { ApiAccess } from '../shared/configuration/driver.ts';
import { readSecretFile } from '../shared/configuration/secret-file.ts';

export interface ApiAnswer {
  /** The HTTP status. */
  readonly status: number;
  readonly body: string;
}

/**
 * One call of the primary to the signing API, on a connection of its own. node:https: a call now and then is not worth the
 * memory of an HTTP client in the primary. Certificate and key are read at each call: they are renewed while the node runs.
 * @param address one of `api.addresses`
 * @throws as node:https, and what `signal` is aborted with
 */
export function callApi(
  api: ApiAccess,
  address: string,
  path: string,
  content: unknown,
  signal: AbortSignal,
): Promise<ApiAnswer> {
  const body = JSON.stringify(content);
  const { promise, resolve, reject } = Promise.withResolvers<ApiAnswer>();
  const outgoing = request(new URL(path, address), {
    method: 'POST',
    ca: readFileSync(api.caFile),
    cert: readFileSync(api.certificateFile),
    key: readSecretFile(api.privateKeyFile, 'api.privateKeyFile'),
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    signal,
  });
  outgoing.once('error', reject);
  outgoing.once('response', (answer) => {
    text(answer).then((said) => resolve({ status: answer.statusCode ?? 0, body: said }), reject);
  });
  outgoing.end(body);
  return promise;
}
