import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DfnsApiClient } from '@dfns/sdk';
import { AsymmetricKeySigner } from '@dfns/sdk-keysigner';
import t from 'tap';
import { parseEther, parseGwei, recoverTransactionAddress, serializeTransaction } from 'viem';
import { keyStore } from '../scripts/local/installation.ts';
import { operatorName } from '../scripts/local/operator.ts';
import { hsmDriver } from './support/node-commands.ts';
import { openSystem } from './support/system.ts';
import { until } from './support/until.ts';

/** The whole system as `npm start` runs it, drivers enforcing authorisations, and the way of an operator through it. */
const system = await openSystem(t, {}, { enforced: true });
const { sdk, places, ports } = system;
const node = join(places.node(1), 'config.yaml');
const done = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await hsmDriver(...words);
  if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`);
  return stdout;
};
const transaction = serializeTransaction({
  type: 'eip1559',
  chainId: 1,
  to: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
  value: parseEther('1'),
  gas: 21_000n,
  maxFeePerGas: parseGwei('20'),
});
const hash = { kind: 'Hash', hash: `0x${'ab'.repeat(32)}` } as const;
const listInForce = (version: number) =>
  until(`list ${version} on both nodes`, async () => {
    const answers = Object.values(ports.operations).map(async (port) => {
      const status = (await (await fetch(`http://127.0.0.1:${port}/status`)).json()) as {
        slots: { policy?: { credentialList?: { version: number } } }[];
      };
      return status.slots.every(({ policy }) => policy?.credentialList?.version === version);
    });
    return (await Promise.all(answers)).every((one) => one);
  });

t.test('the unmodified SDK makes keys and wallets and signs with them', async (t) => {
  const key = await sdk.keys.createKey({ body: { scheme: 'EdDSA', curve: 'ed25519' } });
  const message = { kind: 'Message', message: '0x0123' } as const;
  t.equal((await sdk.keys.generateSignature({ keyId: key.id, body: message })).status, 'Signed');
  const wallet = await sdk.wallets.createWallet({ body: { network: 'Ethereum', name: 'é' } });
  const body = { kind: 'Transaction', transaction } as const;
  const signed = await sdk.wallets.generateSignature({ walletId: wallet.id, body });
  t.match(signed, { status: 'Signed' });
  const sender = await recoverTransactionAddress({ serializedTransaction: signed.signedData as `0x02${string}` });
  t.equal(sender.toLowerCase(), wallet.address?.toLowerCase());
  // Another wallet of the same key.
  const second = await sdk.wallets.createWallet({
    body: { network: 'Polygon', signingKey: { id: wallet.signingKey.id } },
  });
  const again = await sdk.wallets.generateSignature({ walletId: second.id, body: { ...hash, externalId: 'é 1' } });
  t.match(again, { status: 'Signed' });
  const same = await sdk.wallets.generateSignature({ walletId: second.id, body: { ...hash, externalId: 'é 1' } });
  t.same(same.signature, again.signature);
});

t.test('status and doctor say what is enforced, and that one person decides alone', async (t) => {
  const status = await done('status', '--config', node);
  t.match(status, /^authorisations: enforced; list of credentials: version 1$/m);
  t.match(status, /^orders: 1 of 1 operators sign; one person decides alone$/m);
  const findings = JSON.parse((await hsmDriver('doctor', '--config', node, '--json')).stdout) as { found: string }[];
  t.ok(
    findings.some(({ found }) => /authorisations are enforced/.test(found)),
    JSON.stringify(findings),
  );
});

t.test(
  'a credential that the API alone knows signs nothing until the operators approve it, and not after that',
  async (t) => {
    const file = join(places.root, 'bot.json');
    await done(
      'api',
      'service-account',
      'create',
      '--config',
      places.apiConfig,
      '--name',
      'Bot',
      '--client-file',
      file,
      '--permission',
      'pm-built-inset-fullaccess000000',
    );
    const { orgId, authToken, credentialId, privateKeyPem } = JSON.parse(readFileSync(file, 'utf8'));
    const signer = new AsymmetricKeySigner({ credId: credentialId, privateKey: privateKeyPem });
    const bot = new DfnsApiClient({ baseUrl: system.client.baseUrl, orgId, authToken, signer });
    const key = await sdk.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } });
    const before = await bot.keys.generateSignature({ keyId: key.id, body: hash });
    t.match(before, {
      status: 'Failed',
      reason: /credential/,
    });
    await t.rejects(bot.keys.createKey({ body: { scheme: 'ECDSA', curve: 'secp256k1' } }), { message: /credential/ });

    const path = (name: string): string => join(places.root, name);
    const approve = async (version: number, list: string): Promise<void> => {
      const order = path(`order-${version}.json`);
      await done(
        'order',
        'new',
        '--key-store',
        keyStore,
        '--kind',
        'credentials',
        '--subject',
        `version ${version}`,
        '--document',
        list,
        '--out',
        order,
      );
      t.match(await hsmDriver('credentials', 'install', '--config', node, '--list', list, '--order', order), {
        code: 25,
        stderr: /0 of the 1 operators/,
      });
      await done(
        'order',
        'sign',
        '--order',
        order,
        '--operator',
        operatorName,
        '--private-key',
        join(places.operator, 'operator.key'),
        '--yes',
      );
      await done('credentials', 'install', '--config', node, '--list', list, '--order', order);
      await listInForce(version);
    };
    await done('credentials', 'show', '--config', node, '--out', path('list-1.json'));
    const built = await done(
      'credentials',
      'build',
      '--config',
      places.apiConfig,
      '--key-store',
      keyStore,
      '--base',
      path('list-1.json'),
      '--out',
      path('list-2.json'),
    );
    t.match(built, new RegExp(`^\\+ .*${credentialId} .*Keys:Create, Keys:Signatures:Create, Wallets:Create$`, 'm'));
    t.match(
      await done('credentials', 'diff', '--from', path('list-1.json'), '--to', path('list-2.json')),
      /^version 1 to 2\n\+ /,
    );
    await approve(2, path('list-2.json'));
    t.match(await bot.keys.generateSignature({ keyId: key.id, body: hash }), { status: 'Signed' });

    const revoked = await done(
      'credentials',
      'revoke',
      '--config',
      node,
      '--credential',
      credentialId,
      '--out',
      path('list-3.json'),
    );
    t.match(revoked, /^~ .*may authorise nothing {2}\(was Keys:Create/m);
    await approve(3, path('list-3.json'));
    t.match(await bot.keys.generateSignature({ keyId: key.id, body: hash }), { status: 'Failed' });

    // The approved list of before, with its good order, does not come back.
    const old = [
      'credentials',
      'install',
      '--config',
      node,
      '--list',
      path('list-2.json'),
      '--order',
      path('order-2.json'),
    ];
    t.match(await hsmDriver(...old), { code: 25, stderr: /ORDER_USED|CREDENTIAL_LIST_OLD/ });
    const changed = path('changed.json');
    writeFileSync(
      changed,
      readFileSync(path('list-3.json'), 'utf8')
        .replace('"operations": []', '"operations": ["Keys:Create"]')
        .replace('"version": 3', '"version": 4'),
    );
    const forged = ['credentials', 'install', '--config', node, '--list', changed, '--order', path('order-3.json')];
    t.match(await hsmDriver(...forged), { code: 25, stderr: /ORDER_REFUSED/ });
  },
);
