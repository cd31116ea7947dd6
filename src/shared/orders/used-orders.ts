import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { CodedError } from '../errors.ts';
import { orderText, type SignedOrder } from './order.ts';

/**
 * An order has one effect: its id is written down where it was used, in the transaction of the effect or before it. One
 * that was written down and whose effect then failed is used up; the operators sign another.
 */

/** In a driver’s or an API’s database (table `used_order`). @throws ORDER_USED */
export async function recordOrder(
  client: Pick<pg.ClientBase, 'query'>,
  signed: SignedOrder,
  { node }: { /** Where it was carried out. */ readonly node: string },
): Promise<void> {
  const { order, signatures } = signed;
  const { rowCount } = await client.query(
    `insert into used_order (id, kind, subject, operators, signed_order, node) values ($1, $2, $3, $4, $5, $6)
     on conflict (id) do nothing`,
    [
      order.id,
      order.about.kind,
      order.about.subject,
      signatures.map(({ operator }) => operator),
      JSON.stringify(signed),
      node,
    ],
  );
  if (rowCount !== 1) throw used(signed);
}

/**
 * Where there is no database yet: one file for each order in `directory`/orders. It holds on this machine only, so the
 * order’s subject should name something that exists once.
 * @throws ORDER_USED, CONFIG_INVALID for a directory that cannot be written
 */
export function recordOrderInDirectory(directory: string, signed: SignedOrder): void {
  const orders = join(directory, 'orders');
  const file = join(orders, `${signed.order.id}.json`);
  try {
    mkdirSync(orders, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${JSON.stringify(signed)}\n`, { flag: 'wx', mode: 0o600, flush: true });
  } catch (cause) {
    if (existsSync(file)) throw used(signed);
    throw new CodedError('CONFIG_INVALID', `${file} cannot be written (${(cause as Error).message})`, { cause });
  }
}

function used({ order }: SignedOrder): CodedError {
  return new CodedError('ORDER_USED', `${order.id}, ${orderText(order)}`);
}
