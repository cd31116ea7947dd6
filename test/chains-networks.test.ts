import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import t from 'tap';
import { digestsToSign, joinSignatures } from '../src/shared/chains/index.ts';
import { blockchainKinds, familyOfKind, networkNamed, networks } from '../src/shared/chains/networks.ts';
import type { SignatureBody } from '../src/shared/chains/signature-body.ts';
import type { KeyType } from '../src/shared/keys.ts';
import { publicKeyOf, refusalOf, secp256k1Type } from './support/chain-signer.ts';

/** The type declarations of the official SDK, which name every network. */
const sdk = dirname(createRequire(import.meta.url).resolve('@dfns/sdk/package.json'));

function namesIn(file: string, before: RegExp): string[] {
  const source = readFileSync(join(sdk, 'generated', file, 'types.d.ts'), 'utf8');
  const union = new RegExp(`${before.source}\\(?((?:"[A-Za-z0-9]+"(?: \\| )?)+)`).exec(source)?.[1] ?? '';
  return [...union.matchAll(/"([A-Za-z0-9]+)"/g)].map(([, name]) => name as string).sort();
}

t.test('the table names the networks and kinds of chains that the SDK names', async (t) => {
  t.same([...networks].sort(), namesIn('keys', /network\?: /));
  t.same([...blockchainKinds].sort(), namesIn('keys', /blockchainKind\?: /));
});

t.test('the EVM networks are those for which the SDK names EIP-1559 fees', async (t) => {
  t.same(
    networks.filter((network) => networkNamed(network)?.family === 'Evm').sort(),
    namesIn('networks', /kind: "Eip1559";\s+network: /),
  );
});

t.test('a network that nobody knows has no family', async (t) => {
  for (const name of ['', 'ethereum', 'constructor', '__proto__']) t.equal(networkNamed(name), undefined);
  t.equal(networkNamed('Solana')?.family, 'Solana');
  t.equal(familyOfKind('Bitcoin'), 'Bitcoin');
  t.equal(familyOfKind('Tron'), 'Unformatted');
});

const hash = 'ab'.repeat(32);
const rs = '11'.repeat(64);
const publicKey = publicKeyOf('46'.repeat(32));
const refusal = (body: SignatureBody, network?: string, type: KeyType = secp256k1Type) =>
  refusalOf(() => digestsToSign({ type, publicKey, body, ...(network === undefined ? {} : { network }) }));

t.test(
  'networks that cannot be formatted sign hashes, and refuse every other kind by its name and theirs',
  async (t) => {
    const unformatted = networks.filter((name) => networkNamed(name)?.family === 'Unformatted');
    t.ok(unformatted.length > 40);
    const others: SignatureBody[] = [
      { kind: 'Message', message: '00' },
      { kind: 'Transaction', transaction: '00' },
      { kind: 'Eip191', message: '00' },
      { kind: 'Eip712', types: { A: [] }, domain: {}, message: {} },
      { kind: 'Eip7702', address: `0x${'ab'.repeat(20)}`, nonce: 0, chainId: 1 },
      { kind: 'Psbt', psbt: '00' },
      { kind: 'Bip322', message: '00' },
    ];
    for (const network of unformatted) {
      const type = networkNamed(network)?.type ?? secp256k1Type;
      const { digests, format } = digestsToSign({ type, publicKey, body: { kind: 'Hash', hash, network } });
      t.same(digests, [Buffer.from(hash, 'hex')]);
      t.equal(joinSignatures(format, [{ rs }], publicKey).signature.encoded, undefined, network);
      for (const body of others) {
        const detail = new RegExp(`kind ${body.kind} for network ${network};`);
        t.match(refusal({ ...body, network }, undefined, type), { code: 'UNSUPPORTED', detail });
        if (type === networkNamed(network)?.type)
          t.match(refusal(body, network, type), { code: 'UNSUPPORTED', detail });
      }
    }
  },
);

t.test('a wallet’s network decides; what contradicts it is refused', async (t) => {
  t.match(refusal({ kind: 'Hash', hash, network: 'Polygon' }, 'Ethereum'), {
    code: 'BAD_REQUEST',
    detail: /wallet is on network Ethereum/,
  });
  t.same(refusal({ kind: 'Hash', hash, network: 'Ethereum', blockchainKind: 'Evm' }, 'Ethereum'), {});
  t.equal(refusal({ kind: 'Hash', hash, blockchainKind: 'Tron' }, 'Ethereum').code, 'BAD_REQUEST');
  t.equal(refusal({ kind: 'Hash', hash, network: 'Tron', blockchainKind: 'Xrpl' }).code, 'BAD_REQUEST');
  t.equal(refusal({ kind: 'Hash', hash }, 'Nowhere').code, 'BAD_REQUEST');
});

t.test('a wallet of a pseudo network is a key without a chain, until the request names one', async (t) => {
  const sign = (body: SignatureBody) => digestsToSign({ type: secp256k1Type, publicKey, body, network: 'KeyECDSA' });
  t.equal(sign({ kind: 'Hash', hash }).format, undefined);
  t.equal(refusal({ kind: 'Message', message: '00' }, 'KeyECDSA').code, 'BAD_REQUEST');
  t.same(sign({ kind: 'Message', message: '00', blockchainKind: 'Evm' }).format, { join: 'Evm' });
  t.same(sign({ kind: 'Hash', hash, network: 'BitcoinSignet' }).format, { join: 'Bitcoin' });
});
