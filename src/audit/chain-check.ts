import { entryHash } from '../shared/audit/entry.ts';
import { headHolds } from '../shared/audit/head.ts';
import { signedHead } from '../shared/audit/signed-head.ts';
import type { ExpectedHeads } from './expected-heads.ts';
import { type ExportedEntry, parseEntry, understood } from './export-format.ts';
import type { Pinned } from './pinned.ts';

/** Goes through chains entry by entry, in flat memory. */
export interface ChainCheck {
  chain(id: string, line: number): void;
  entry(bytes: Buffer, text: string, line: number): void;
  end(): void;
  readonly seen: ReadonlySet<string>;
  counts(): { chains: number; entries: number; signedHeads: number; unproven: number };
}

/** Hashes of this many newest entries are kept: a head is signed within seconds of its entry. */
const window = 100_000;

interface OpenChain {
  readonly id: string;
  sequence: number;
  hash: string | null;
  /** Newest entry that a signature or another chain speaks for. */
  proven: number;
  /** The last entry only tells of a signature: nothing need speak for it. */
  endsWithHead: boolean;
  /** After a break neighbours are compared again, from the entry behind it. */
  broken: boolean;
  readonly recent: Map<number, string>;
}

export function createChainCheck(
  pinned: Pinned,
  expected: Pick<ExpectedHeads, 'compare' | 'beyond'>,
  problem: (text: string) => void,
): ChainCheck {
  const seen = new Set<string>();
  let open: OpenChain | undefined;
  let entries = 0;
  let signedHeads = 0;
  let unproven = 0;

  function close(): void {
    if (open === undefined) return;
    if (open.sequence === 0) problem(`chain ${open.id} has no entries`);
    expected.beyond(open.id, open.sequence);
    unproven += Math.max(0, open.sequence - open.proven - (open.endsWithHead ? 1 : 0));
    open = undefined;
  }

  function follows(chain: OpenChain, entry: ExportedEntry): void {
    const { id } = chain;
    const number = chain.sequence + 1;
    if (entry.sequence > number) {
      const gap =
        entry.sequence === number + 1 ? `entry ${number} is` : `entries ${number} to ${entry.sequence - 1} are`;
      problem(`chain ${id}: ${gap} missing`);
    } else if (entry.sequence < number) {
      problem(`chain ${id}: entry ${entry.sequence} stands behind entry ${chain.sequence}: put in, or moved`);
    } else if (entry.previous !== chain.hash && !chain.broken) {
      problem(
        chain.hash === null
          ? `chain ${id}: its first entry follows another one: the beginning is missing`
          : `chain ${id}: entry ${chain.sequence} was changed after entry ${entry.sequence} was sealed behind it`,
      );
    }
  }

  function understand(chain: OpenChain, entry: ExportedEntry): void {
    const { id } = chain;
    if ((entry.kind === 'opened') !== (entry.sequence === 1))
      problem(`chain ${id}: entry ${entry.sequence} is of kind ${entry.kind}`);
    if (entry.kind === 'opened') {
      const told = understood.opened.safeParse(entry.json).data;
      if (told?.chain !== id || told.keyStore !== pinned.keyStore)
        problem(`chain ${id}: its first entry is of chain ${told?.chain}, key store ${told?.keyStore}`);
    }
    if (entry.kind !== 'head-signed') return;
    const told = understood['head-signed'].safeParse(entry.json).data;
    const head = signedHead.safeParse({ chain: id, ...told?.head, signature: told?.signature }).data;
    if (head === undefined || !headHolds(pinned.attestationKey, pinned.keyStore, head)) {
      problem(`chain ${id}: the head in entry ${entry.sequence} is not signed by the attestation key`);
    } else if (chain.recent.get(head.sequence) !== head.hash) {
      const told = `whose head was signed in entry ${entry.sequence}`;
      problem(`chain ${id}: entry ${head.sequence} is not the one ${told}: the chain was rewritten`);
    } else {
      signedHeads += 1;
      chain.proven = Math.max(chain.proven, head.sequence);
    }
  }

  return {
    chain(id, line) {
      close();
      if (seen.has(id)) problem(`line ${line}: chain ${id} comes a second time`);
      seen.add(id);
      open = { id, sequence: 0, hash: null, proven: 0, endsWithHead: false, broken: false, recent: new Map() };
    },
    entry(bytes, text, line) {
      const entry = parseEntry(text);
      if (open === undefined) return problem(`line ${line} belongs to no chain`);
      if (entry === undefined) {
        open.broken = true;
        return problem(`line ${line}: not an entry of an audit chain`);
      }
      entries += 1;
      follows(open, entry);
      const hash = entryHash(bytes);
      Object.assign(open, { sequence: entry.sequence, hash, broken: false });
      open.recent.set(entry.sequence, hash);
      open.recent.delete(entry.sequence - window);
      open.endsWithHead = entry.kind === 'head-signed';
      understand(open, entry);
      if (expected.compare(open.id, { sequence: entry.sequence, hash }) === 'same') open.proven = entry.sequence;
    },
    end: close,
    seen,
    counts: () => ({ chains: seen.size, entries, signedHeads, unproven }),
  };
}
