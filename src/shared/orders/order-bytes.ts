import { canonicalJson } from '../crypto/canonical-json.ts';
import { lengthPrefixed } from '../crypto/length-prefixed.ts';
import type { Order } from './order.ts';

/** What operators sign. The first field keeps these signatures apart from all others that their keys ever make. */
export function orderBytes(content: Order): Buffer {
  return lengthPrefixed(['hsm-driver order v1', canonicalJson(content)]);
}
