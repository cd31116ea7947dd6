import type pg from 'pg';
import { CodedError } from '../../shared/errors.ts';
import { keyAnswer } from '../application/key-answer.ts';
import { signatureAnswer } from '../application/signature-answer.ts';
import { walletAnswer } from '../application/wallet-answer.ts';
import type { Keys } from '../keys.ts';
import type { RequestRow } from '../queue/request.ts';
import { type RequestRecord, requestColumns, requestRow } from '../queue/request-row.ts';
import { requireWallet } from '../wallets/wallets.ts';
import type { WebhookEvent } from './events.ts';

/**
 * What an event tells: the key, the wallet or the signature as the API's own answers show it, attestation checked.
 * @throws ATTESTATION_INVALID, NOT_FOUND
 */
export async function eventData(
  pool: pg.Pool,
  keys: Keys,
  { kind, organisation, subject }: Pick<WebhookEvent, 'kind' | 'organisation' | 'subject'>,
): Promise<Record<string, unknown>> {
  switch (kind) {
    case 'key.created':
    case 'key.deleted':
      return { key: keyAnswer(await keys.require(organisation, subject)) };
    case 'wallet.created': {
      const wallet = await requireWallet(pool, organisation, subject);
      return { wallet: walletAnswer(wallet, await keys.require(organisation, wallet.keyId)) };
    }
    case 'wallet.signature.requested':
    case 'wallet.signature.signed':
    case 'wallet.signature.failed': {
      const row = await requireRequest(pool, organisation, subject);
      const { publicKey } = await keys.require(organisation, row.keyId);
      // The request may have been answered meanwhile: this event tells of its beginning.
      const then: RequestRow = kind === 'wallet.signature.requested' ? { ...row, state: 'queued' } : row;
      return { signatureRequest: signatureAnswer(then, publicKey) };
    }
    default:
      throw new CodedError('INTERNAL', `an event of kind ${kind satisfies never}`);
  }
}

async function requireRequest(pool: pg.Pool, organisation: string, id: string): Promise<RequestRow> {
  const { rows } = await pool.query<RequestRecord>(
    `select ${requestColumns} from request where id = $1 and organisation = $2`,
    [id, organisation],
  );
  if (rows[0] === undefined) throw new CodedError('NOT_FOUND', `request ${id}`);
  return requestRow(rows[0]);
}
