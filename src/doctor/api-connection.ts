import { readFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import type { ApiAccess } from '../shared/configuration/driver.ts';
import { readSecretFile } from '../shared/configuration/secret-file.ts';
import { refusal } from '../shared/driver-protocol.ts';
import { type Check, type Finding, good, problem } from './check.ts';
import { clockFinding } from './clock.ts';

const patienceMs = 5_000;

/** Each address of the API as a worker would reach it: name, port, both certificates, and whether the node is listed. */
export function apiChecks(api: ApiAccess): readonly Check[] {
  return api.addresses.map((address) => ({
    name: `signing API ${address}`,
    needs: ['files', 'client certificate'],
    look: () => reach(address, api),
  }));
}

async function reach(address: string, api: ApiAccess): Promise<readonly Finding[]> {
  const key = readSecretFile(api.privateKeyFile, 'api.privateKeyFile');
  const before = Date.now();
  try {
    const { status, date, body } = await get(new URL('/openapi.json', address), {
      ca: readFileSync(api.caFile),
      cert: readFileSync(api.certificateFile),
      key,
    });
    const clock = date === undefined ? [] : [clockFinding('the API', Date.parse(date), before, Date.now(), 1_000)];
    if (status === 200) return [good('it answers, and knows this node'), ...clock];
    return [problem(`it answers ${status}: ${sentenceIn(body)}`, 'See what it says'), ...clock];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const todo = 'Check api.addresses, the network between, and that api.caFile signed the API’s certificate';
    return [problem(`it cannot be reached (${code ?? message})`, todo)];
  } finally {
    key.fill(0);
  }
}

interface Answer {
  readonly status: number;
  readonly date: string | undefined;
  readonly body: string;
}

function get(url: URL, identity: Pick<RequestOptions, 'ca' | 'cert' | 'key'>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ...identity, agent: false, timeout: patienceMs }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part) => parts.push(part));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          date: answer.headers.date,
          body: Buffer.concat(parts).toString('utf8'),
        }),
      );
    });
    call.once('timeout', () => call.destroy(new Error(`no answer within ${patienceMs / 1_000} s`)));
    call.once('error', reject);
    call.end();
  });
}

function sentenceIn(body: string): string {
  try {
    return refusal.parse(JSON.parse(body)).error.message;
  } catch {
    return 'no reason that this program understands';
  }
}
