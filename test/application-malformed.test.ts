import { randomBytes, randomInt } from 'node:crypto';
import t from 'tap';
import { routes } from '../src/api/application/routes/index.ts';
import { call, userAction } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

t.setTimeout(400_000);
const application = await openLiveApplication(t, {
  configuration: { rateLimit: { perSecond: 100_000, burst: 100_000 } },
});
const { account, pool } = application;

/** Good bodies, to be broken. */
const bodies: Readonly<Record<string, unknown>> = {
  '/auth/action/init': { userActionPayload: '', userActionHttpMethod: 'POST', userActionHttpPath: '/keys' },
  '/auth/action': {
    challengeIdentifier: 'x.y',
    firstFactor: { kind: 'Key', credentialAssertion: { credId: 'cr', clientData: 'e30', signature: 'AA' } },
  },
  '/keys': { scheme: 'ECDSA', curve: 'secp256k1', name: 'x' },
  '/keys/:keyId/signatures': { kind: 'Hash', hash: 'ab'.repeat(32), externalId: 'x', network: 'Ethereum' },
  '/wallets': { network: 'Ethereum', name: 'x', signingKey: { scheme: 'ECDSA' }, tags: ['a'] },
  '/wallets/:walletId/signatures': {
    kind: 'Eip712',
    types: { A: [{ name: 'b', type: 'uint256' }] },
    domain: { chainId: 1 },
    message: { b: 1 },
  },
  '/webhooks': { url: 'https://example.com', events: ['*'] },
  '/permissions': { name: 'x', operations: ['Keys:Read'] },
  '/auth/service-accounts': { name: 'x', publicKey: '-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----' },
};

const strange: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'x',
  '\u0000',
  '\ud800',
  '𝄞'.repeat(60),
  'x'.repeat(5_000),
  [],
  [[]],
  {},
  { a: {} },
  ['__proto__'],
  "'; drop table key; --",
  '%00',
  '../../etc/passwd',
  '0x',
  '0xzz',
];

/** One member somewhere in it is another thing. */
function altered(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || randomInt(4) === 0) return strange[randomInt(strange.length)];
  if (Array.isArray(value)) return value.map((item, at) => (at === 0 ? altered(item) : item));
  const names = Object.keys(value);
  const name = randomInt(5) === 0 ? 'more' : (names[randomInt(names.length)] ?? 'more');
  if (randomInt(4) === 0) return Object.fromEntries(Object.entries(value).filter(([one]) => one !== name));
  return { ...value, [name]: altered((value as Record<string, unknown>)[name]) };
}

/** Or the text itself is broken. */
function broken(body: unknown): string | Buffer {
  const text = JSON.stringify(body) ?? '';
  switch (randomInt(8)) {
    case 0:
      return text.slice(0, randomInt(text.length + 1));
    case 1:
      return randomBytes(randomInt(64));
    case 2:
      return text.replace('{', '{"__proto__":{},');
    case 3:
      return text.replace(/"(\w+)":/, '"$1":1,"$1":');
    case 4:
      return `${'['.repeat(randomInt(2_000))}${text}`;
    default:
      return JSON.stringify(altered(body)) ?? '';
  }
}

async function rowCounts(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of [
    'key',
    'wallet',
    'request',
    'webhook',
    'permission',
    'service_account',
    'credential',
    'audit_event',
  ]) {
    const { rows } = await pool.query<{ count: number }>(`select count(*)::int as count from ${table}`);
    counts[table] = rows[0]?.count ?? 0;
  }
  return counts;
}

const targets = routes.filter(({ endpoint }) => endpoint.body !== undefined || endpoint.method === 'POST');

t.test('10,000 malformed bodies are each refused, leak nothing and leave nothing', async (t) => {
  const before = await rowCounts();
  const statuses = new Map<number, number>();
  for (let round = 0; round < 100; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const { endpoint } = targets[randomInt(targets.length)] as (typeof targets)[number];
        const body = broken(bodies[endpoint.path] ?? { name: 'x', tags: ['x'] });
        const path = endpoint.path.replace(/:\w+/g, 'x');
        const { status, body: answer } = await call(application, account, endpoint.method, path, body);
        return { what: `${endpoint.method} ${path} ${body.toString('latin1').slice(0, 200)}`, status, answer };
      }),
    );
    for (const { what, status, answer } of answers) {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const said = JSON.stringify(answer);
      const good =
        status < 500 && (status === 200 || answer.error?.status === status) && !/\bat .*\.ts|node_modules/.test(said);
      if (!good) t.fail(`${status} ${what}: ${said.slice(0, 300)}`);
    }
  }
  t.same(await rowCounts(), before);
  t.comment(JSON.stringify(Object.fromEntries(statuses)));
  t.equal((await call(application, account, 'GET', '/keys')).status, 200, 'and it still answers');
});

t.test('nor does one that was signed, and what breaking left whole is made whole', async (t) => {
  const signed = targets.filter((route) => route.signed);
  const before = await rowCounts();
  const taken = new Map<string, number>();
  for (let count = 0; count < 300; count += 1) {
    const { endpoint } = signed[randomInt(signed.length)] as (typeof signed)[number];
    const body = broken(bodies[endpoint.path] ?? { name: 'x' }).toString('latin1');
    const path = endpoint.path.replace(/:\w+/g, 'x');
    const token = await userAction(application, account, endpoint.method, path, body);
    const headers = token === undefined ? {} : { 'x-dfns-useraction': token };
    const { status, body: answer } = await call(application, account, endpoint.method, path, body, headers);
    if (status >= 500) t.fail(`${status} ${endpoint.method} ${path} ${body}: ${JSON.stringify(answer)}`);
    if (status === 200) taken.set(path, (taken.get(path) ?? 0) + 1);
  }
  const after = await rowCounts();
  const made = (path: string): number => taken.get(path) ?? 0;
  t.equal((after.wallet ?? 0) - (before.wallet ?? 0), made('/wallets'));
  t.equal((after.key ?? 0) - (before.key ?? 0), made('/wallets') + made('/keys'));
  t.equal((after.webhook ?? 0) - (before.webhook ?? 0), made('/webhooks'));
  const { rows } = await pool.query("select 1 from request where state <> 'made'");
  t.same(rows, [], 'no request is left open');
});
