import { createHmac } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';

export interface ReceivedEvent {
  readonly path: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: looked at freely, as a receiver does
  readonly event: any;
}

export interface WebhookReceiver {
  readonly url: string;
  readonly received: ReceivedEvent[];
  /** What it answers with; by path. */
  status: (path: string) => number;
  /** Answers in its place. */
  answer: ((response: ServerResponse) => void) | undefined;
}

/** A server of somebody’s own on a loopback address. */
export async function openReceiver(t: Test): Promise<WebhookReceiver> {
  const received: ReceivedEvent[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const path = request.url ?? '';
    received.push({ path, headers: request.headers, body, event: JSON.parse(body) });
    if (receiver.answer !== undefined) return receiver.answer(response);
    response.writeHead(receiver.status(path), { location: 'http://127.0.0.1:1/' }).end('thanks');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    status: () => 200,
    answer: undefined,
  };
  return receiver;
}

export function signatureOf(secret: string, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}
