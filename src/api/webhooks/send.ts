import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import { mayDeliverTo, requireReceiver } from './receivers.ts';

const connectTimeoutMs = 5_000;
const answerTimeoutMs = 10_000;
/** Of the whole delivery, name lookup included. */
const deliveryTimeoutMs = 15_000;
/** What a receiver answers is thrown away; more than this closes the connection. */
const answerLimitBytes = 64 * 1024;

/** How a delivery ended: the HTTP status, or why there was none. Only 200 counts as delivered. */
export type Delivery = { readonly status: number } | { readonly error: string };

export interface WebhookSender {
  /** One POST; never throws, follows no redirect. */
  send(url: string, body: string, headers: Readonly<Record<string, string>>): Promise<Delivery>;
  /** Ends what is on its way. */
  close(): Promise<void>;
}

export function createWebhookSender({ privateAddresses }: { readonly privateAddresses: boolean }): WebhookSender {
  const agent = new Agent({
    connect: { lookup: checkedLookup(privateAddresses), timeout: connectTimeoutMs },
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    maxResponseSize: answerLimitBytes,
  });
  return {
    async send(url, body, headers) {
      try {
        const answer = await request(requireReceiver(url, privateAddresses), {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'user-agent': 'hsm-driver-api', ...headers },
          body,
          dispatcher: agent,
          signal: AbortSignal.timeout(deliveryTimeoutMs),
        });
        const { statusCode: status } = answer;
        await answer.body.dump({ limit: answerLimitBytes }).catch(() => {});
        return { status };
      } catch (error) {
        return { error: sentenceOf(error) };
      }
    },
    close: () => agent.destroy(),
  };
}

/** The connection goes to an address that was checked here, so a name cannot mean another one a moment later. */
function checkedLookup(privateAddresses: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return callback(error, '', 0);
      const fit = addresses.filter(({ address }) => mayDeliverTo(address, privateAddresses));
      const [first] = fit;
      if (first === undefined) return callback(new Error('its address is not a public one'), '', 0);
      return options.all === true ? callback(null, fit) : callback(null, first.address, first.family);
    });
  };
}

/** For who looks at the webhook's events: what went wrong, nothing of this host. */
function sentenceOf(error: unknown): string {
  const { code, message, name } = error as Error & { code?: unknown };
  if (name === 'TimeoutError') return 'no answer in time';
  return typeof code === 'string' && code !== 'WEBHOOK_URL_REFUSED' ? code : message;
}
