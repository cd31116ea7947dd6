import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import t from 'tap';
import { blockchainKinds, familyOfKind, familyOfNetwork, networks } from '../src/shared/chains/networks.ts';

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
    networks.filter((network) => familyOfNetwork(network) === 'Evm').sort(),
    namesIn('networks', /kind: "Eip1559";\s+network: /),
  );
});

t.test('a network that nobody knows has no family', async (t) => {
  for (const name of ['', 'ethereum', 'constructor', '__proto__']) t.equal(familyOfNetwork(name), undefined);
  t.equal(familyOfNetwork('Solana'), 'Solana');
  t.equal(familyOfKind('Bitcoin'), 'Other');
});
