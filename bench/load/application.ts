import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import type { ClientFile } from '../../scripts/local/client.ts';

/** An application's HTTP client: the calls of the Dfns SDK, as cheaply as they can be made, over kept connections. */
export interface Application {
  post(path: string, body: string, userAction?: string): Promise<{ readonly status: number; readonly text: string }>;
}

/** Longer than the API holds a POST. */
const answerLimitMs = 40_000;

export function openApplication({ baseUrl, caFile, authToken }: ClientFile, connections: number): Application {
  const pool = new Pool(baseUrl, {
    connections,
    pipelining: 1,
    connect: { ca: readFileSync(caFile) },
    headersTimeout: answerLimitMs,
    bodyTimeout: answerLimitMs,
  });
  const authorization = `Bearer ${authToken}`;
  return {
    async post(path, body, userAction) {
      const headers = { authorization, 'content-type': 'application/json' };
      const { statusCode, body: answer } = await pool.request({
        method: 'POST',
        path,
        body,
        headers: userAction === undefined ? headers : { ...headers, 'x-dfns-useraction': userAction },
      });
      return { status: statusCode, text: await answer.text() };
    },
  };
}
