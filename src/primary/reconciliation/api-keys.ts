import type { ApiAccess } from '../../shared/configuration/driver.ts';
import { type KeysCall, type KnownKey, keysAnswer, protocolLimits } from '../../shared/driver-protocol.ts';
import { CodedError } from '../../shared/errors.ts';
import { callApi } from '../api-call.ts';

/** The signing API's list of keys, as a node of the key store may read it. */
export interface ApiKeys {
  /** All of them, page by page. @throws API_UNREACHABLE */
  pages(signal: AbortSignal): AsyncGenerator<readonly KnownKey[]>;
  /** Those of these ids that it knows. @throws API_UNREACHABLE */
  named(ids: readonly string[], signal: AbortSignal): Promise<readonly KnownKey[]>;
}

const callTimeoutMs = 20_000;

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
  const limit = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
  const answer = await callApi(api, address, '/driver/v1/keys', call, limit);
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`);
  return keysAnswer.parse(JSON.parse(answer.body)).keys;
}
