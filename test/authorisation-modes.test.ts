import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import t, { type Test } from 'tap';
import { parseGwei, recoverTransactionAddress, serializeTransaction } from 'viem';
import { parse, stringify } from 'yaml';
import { keyStore } from '../scripts/local/installation.ts';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import { attestationPublicKey } from '../src/shared/crypto/attestation.ts';
import { createPool } from '../src/shared/database/pool.ts';
import { createLog } from '../src/shared/log.ts';
import type { SignedOrder } from '../src/shared/orders/order.ts';
import { inForceHolds } from '../src/shared/orders/order-in-force.ts';
import { hsmDriver } from './support/node-commands.ts';
import { allReady, openSystem } from './support/system.ts';
import { until } from './support/until.ts';

/**
 * The way from nothing to enforced authorisations, as docs/authorisation.md tells it, on one whole system that runs: the
 * unmodified SDK works in each mode. One more client has a credential that the API knows and no operator approved.
 */
type Mode = 'off' | 'report' | 'enforce';
const system = await openSystem(t, {}, { enforced: true });
const { sdk, places, ports, nodes, client } = system;

interface Status {
  readonly slots: { readonly policy?: { readonly mode: Mode; readonly credentialList?: object } }[];
}
const statuses = () =>
  Promise.all(
    Object.values(ports.operations).map(
      async (port) => (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as Status,
    ),
  );
/** Of both nodes together, as the alert sees it. */
const refusals = async (): Promise<number> => {
  const pages = Object.values(ports.operations).map(async (port) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const lines = text.matchAll(/^hsm_driver_events_total\{[^}]*event="authorisations_refused"[^}]*\} (\d+)$/gm);
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  });
  return (await Promise.all(pages)).reduce((sum, one) => sum + one, 0);
};

async function use(mode: Mode): Promise<void> {
  for (const [at, { pid }] of nodes.entries()) {
    const file = join(places.node(at + 1), 'config.yaml');
    writeFileSync(file, stringify({ ...parse(readFileSync(file, 'utf8')), authorisation: { mode } }));
    process.kill(pid, 'SIGHUP');
  }
  await until(`mode ${mode} on both nodes, with the list`, async () =>
    (await statuses()).every(({ slots }) =>
      slots.every(({ policy }) => policy?.mode === mode && policy.credentialList !== undefined),
    ),
  );
  await allReady(system);
}

const transaction = serializeTransaction({
  type: 'eip1559',
  chainId: 1,
  to: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
  gas: 21_000n,
  maxFeePerGas: parseGwei('20'),
});

async function everythingWorks(t: Test, mode: Mode): Promise<void> {
  const key = await sdk.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
  const message = { kind: 'Message', message: '0x0123' } as const;
  t.match(await sdk.keys.generateSignature({ keyId: key.id, body: message }), { status: 'Signed' });
  const wallet = await sdk.wallets.createWallet({ body: { network: 'Ethereum', name: `é ${mode}` } });
  const body = { kind: 'Transaction', transaction, externalId: `é ${mode}` } as const;
  const signed = await sdk.wallets.generateSignature({ walletId: wallet.id, body });
  const sender = await recoverTransactionAddress({ serializedTransaction: signed.signedData as `0x02${string}` });
  t.equal(sender.toLowerCase(), wallet.address?.toLowerCase());
  const again = await sdk.wallets.generateSignature({ walletId: wallet.id, body });
  t.same(again.signature, signed.signature, 'once, whatever the mode');
}

const bot = await unapprovedClient();
const botSigns = async (keyId: string) =>
  await bot.keys.generateSignature({ keyId, body: { kind: 'Hash', hash: `0x${'ab'.repeat(32)}` } });

t.test('the list in force is attested by a token’s attestation key, for nodes that come later', async (t) => {
  const [pool, pinned] = [
    createPool(
      system.databases.driver,
      { applicationName: 'test', max: 1, durability: 'durable' },
      createLog('silent', {}),
    ),
    attestationPublicKey(readCeremonyFile(places.ceremonyFile).attestationKey.publicKey),
  ];
  t.teardown(() => pool.end());
  const row = await until('its attestation', async () => {
    const { rows } = await pool.query<{ signed: SignedOrder; attestation: string }>(
      `select signed_order as signed, attestation from credential_list
       join order_in_force on order_id = signed_order->'order'->>'id'`,
    );
    return rows[0];
  });
  t.ok(inForceHolds(pinned, keyStore, row.signed.order, row.attestation));
});

t.test('off: everything works, and nobody is asked whether it was approved', async (t) => {
  await use('off');
  await everythingWorks(t, 'off');
  const key = await sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
  t.match(await botSigns(key.id), { status: 'Signed' });
  t.equal(await refusals(), 0);
});

t.test('report: everything works, and what would be refused is counted where the alert looks', async (t) => {
  await use('report');
  await everythingWorks(t, 'report');
  t.equal(await refusals(), 0, 'nothing that the approved credential asks for');
  const key = await bot.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
  t.match(await botSigns(key.id), { status: 'Signed' });
  await until('both are counted', async () => (await refusals()) === 2);
  const text = (await hsmDriver('status', '--config', join(places.node(1), 'config.yaml'))).stdout;
  t.match(text, /^! authorisations: checked and counted, not enforced; list of credentials: version 1$/m);
});

t.test('enforce: everything that was approved works, also what was made before, and nothing else', async (t) => {
  const before = await sdk.wallets.createWallet({ body: { network: 'Ethereum' } });
  await use('enforce');
  await everythingWorks(t, 'enforce');
  const body = { kind: 'Transaction', transaction } as const;
  t.match(await sdk.wallets.generateSignature({ walletId: before.id, body }), { status: 'Signed' });
  t.match(await botSigns(before.signingKey.id), { status: 'Failed', reason: /credential/ });
});

async function unapprovedClient(): Promise<DfnsApiClient> {
  const file = join(places.root, 'bot.json');
  const { code, stderr } = await hsmDriver(
    ...['api', 'service-account', 'create', '--config', places.apiConfig, '--name', 'Bot', '--client-file', file],
    ...['--permission', 'pm-built-inset-fullaccess000000'],
  );
  if (code !== 0) throw new Error(stderr);
  const { orgId, authToken, credentialId, privateKeyPem } = JSON.parse(readFileSync(file, 'utf8'));
  const signer = new AsymmetricKeySigner({ credId: credentialId, privateKey: privateKeyPem });
  return new DfnsApiClient({ baseUrl: client.baseUrl, orgId, authToken, signer });
}
