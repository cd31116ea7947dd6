import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OperatorsConfiguration } from '../../src/shared/configuration/sections.ts';
import type { OrderAbout, SignedOrder } from '../../src/shared/orders/order.ts';
import { newOrder, signOrder } from '../../src/shared/orders/sign-order.ts';

export interface TestOperators {
  readonly configuration: OperatorsConfiguration;
  /** By name. */
  readonly privateKeys: ReadonlyMap<string, KeyObject>;
  privateKeyFile(name: string): string;
  /** Signed by the threshold’s number of operators, unless told by whom. @param atMs good for an hour from then on */
  order(keyStore: string, about: OrderAbout, by?: readonly string[], atMs?: number): SignedOrder;
  /** The same as a file. */
  orderFile(keyStore: string, about: OrderAbout, by?: readonly string[]): string;
}

/** Operators with keys of both kinds, whose files lie in `directory`. */
export function makeOperators(directory: string, names: readonly string[], threshold: number): TestOperators {
  const privateKeys = new Map<string, KeyObject>();
  const keys = names.map((name, at) => {
    const pair =
      at % 2 === 0 ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const publicKeyFile = join(directory, `${name}.pem`);
    writeFileSync(publicKeyFile, pair.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(join(directory, `${name}.key`), pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
    privateKeys.set(name, pair.privateKey);
    return { name, publicKeyFile };
  });
  const order: TestOperators['order'] = (keyStore, about, by = names.slice(0, threshold), atMs = Date.now()) =>
    by.reduce(
      (signed, name) => signOrder(signed, name, privateKeys.get(name) as KeyObject),
      newOrder({ keyStore, about, reason: 'test' }, 3_600_000, atMs),
    );
  return {
    configuration: { threshold, keys },
    privateKeys,
    privateKeyFile: (name) => join(directory, `${name}.key`),
    order,
    orderFile(keyStore, about, by) {
      const signed = order(keyStore, about, by);
      const file = join(directory, `${signed.order.id}.order.json`);
      writeFileSync(file, JSON.stringify(signed));
      return file;
    },
  };
}
