import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { ApiAccess } from '../../shared/configuration/driver.ts';
import { readSecretFile } from '../../shared/configuration/secret-file.ts';
import { type KeysCall, type KnownKey, keysAnswer, protocolLimits } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';

/** The signing API's list of keys, as a node of the key store may read it. */
export interface ApiKeys {
  /** All of them, page by page. @throws API_UNREACHABLE */
  pages(signal: AbortSignal): AsyncGenerator<readonly KnownKey[]>;
  /** Those of these ids that it knows. @throws API_UNREACHABLE */
  named(ids: readonly string[], signal: AbortSignal): Promise<readonly KnownKey[]>;
}

const callTimeoutMs = 20_000;

/** node:https: a call now and then is not worth the memory of an HTTP client in the primary. */
export function createApiKeys(api: ApiAccess): ApiKeys {
  async function ask(call: KeysCall, signal: AbortSignal): Promise<readonly KnownKey[]> {
    let problem = 'no address is configured';
    for (const address of api.addresses) {
      try {
        return await post(api, address, call, signal);
      } catch (error) {
        signal.throwIfAborted();
        problem = `${address}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
      }
    }
    throw new CodedError('API_UNREACHABLE', `its list of keys (${problem})`);
  }

  return {
    async *pages(signal) {
      const limit = protocolLimits.maxKeys;
      for (let after: string | undefined; ; ) {
        const page = await ask({ limit, ...(after === undefined ? {} : { after }) }, signal);
        if (page.length > 0) yield page;
        if (page.length < limit) return;
        after = page.at(-1)?.id;
      }
    },
    named: (ids, signal) => ask({ ids: [...ids] }, signal),
  };
}

async function post(api: ApiAccess, address: string, call: KeysCall, signal: AbortSignal): Promise<KnownKey[]> {
  const body = JSON.stringify(call);
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const outgoing = request(new URL('/driver/v1/keys', address), {
    method: 'POST',
    ca: readFileSync(api.caFile),
    cert: readFileSync(api.certificateFile),
    key: readSecretFile(api.privateKeyFile, 'api.privateKeyFile'),
    agent: false,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
  });
  outgoing.once('error', reject);
  outgoing.once('response', (answer) => {
    text(answer).then((said) => resolve({ status: answer.statusCode ?? 0, body: said }), reject);
  });
  outgoing.end(body);
  const answer = await promise;
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`);
  return keysAnswer.parse(JSON.parse(answer.body)).keys;
}
