import { readFileSync, writeFileSync } from 'node:fs';
import { CodedError } from '../errors.ts';
import { type SignedOrder, signedOrder } from './order.ts';

/** An order with its signatures as a JSON file, as operators pass it around. @throws ORDER_UNREADABLE */
export function readOrderFile(file: string): SignedOrder {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CodedError('ORDER_UNREADABLE', `${file} (${(cause as Error).message})`, { cause });
  }
  const { success, data, error } = signedOrder.safeParse(json);
  if (success) return data;
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw new CodedError('ORDER_UNREADABLE', `${file}: ${problems.join('; ')}`);
}

/** @param flag `wx` for a new file: nothing is overwritten. @throws OPTION_INVALID */
export function writeOrderFile(file: string, order: SignedOrder, flag: 'w' | 'wx'): void {
  try {
    writeFileSync(file, `${JSON.stringify(order, null, 2)}\n`, { flag });
  } catch (cause) {
    throw new CodedError('OPTION_INVALID', `${file} cannot be written (${(cause as Error).message})`, { cause });
  }
}
