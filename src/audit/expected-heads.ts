import { headHolds } from '../shared/audit/head.ts';
import type { Anchor } from './anchors-file.ts';
import type { Pinned } from './pinned.ts';

interface ExpectedHead {
  readonly hash: string;
  /** Who says so, for the report. */
  readonly by: string;
}

interface Head {
  readonly sequence: number;
  readonly hash: string;
}

/** What heads that were kept elsewhere than in their own chain say that a chain must have held. */
export interface ExpectedHeads {
  fromAnchor(anchor: Anchor): void;
  fromChain(by: string, chain: string, head: Head): void;
  /** Entry by entry: whether something is said of this one. */
  compare(chain: string, head: Head): 'nothing said' | 'same' | 'other';
  /** At the end of a chain: what was said of entries behind its last. */
  beyond(chain: string, last: number): void;
  /** At the end of the export: chains that were said to be, and are not. */
  missing(seen: ReadonlySet<string>): void;
  anchors(): number;
}

export function createExpectedHeads(
  { keyStore, attestationKey }: Pinned,
  problem: (text: string) => void,
): ExpectedHeads {
  const chains = new Map<string, Map<number, ExpectedHead>>();
  let anchors = 0;

  function expect(by: string, chain: string, { sequence, hash }: Head): void {
    const heads = chains.get(chain) ?? new Map<number, ExpectedHead>();
    chains.set(chain, heads);
    const before = heads.get(sequence);
    if (before !== undefined && before.hash !== hash)
      problem(`chain ${chain} was forked: ${before.by} and ${by} tell of different entries ${sequence}`);
    else heads.set(sequence, { hash, by });
  }

  /** The highest number that is said of a chain behind `last`. */
  function highest(chain: string, last: number): { sequence: number; by: string } | undefined {
    let found: { sequence: number; by: string } | undefined;
    for (const [sequence, { by }] of chains.get(chain) ?? [])
      if (sequence > Math.max(last, found?.sequence ?? 0)) found = { sequence, by };
    return found;
  }

  return {
    fromAnchor(anchor) {
      // The signing API keeps the heads of all its key stores.
      if (anchor.keyStore !== undefined && anchor.keyStore !== keyStore) return;
      const { chain, sequence, hash } = anchor;
      if (!headHolds(attestationKey, keyStore, anchor))
        return problem(`the anchor of entry ${sequence} of chain ${chain} is not signed by the attestation key`);
      anchors += 1;
      expect('an anchor', chain, { sequence, hash });
    },
    fromChain: expect,
    compare(chain, { sequence, hash }) {
      const head = chains.get(chain)?.get(sequence);
      if (head === undefined) return 'nothing said';
      if (head.hash === hash) return 'same';
      problem(`entry ${sequence} of chain ${chain} is another one than ${head.by} tells of: the chain was rewritten`);
      return 'other';
    },
    beyond(chain, last) {
      const head = highest(chain, last);
      if (head === undefined) return;
      const missing = head.sequence === last + 1 ? `${head.sequence} is` : `${last + 1} to ${head.sequence} are`;
      problem(
        `the end of chain ${chain} is missing: ${head.by} tells of entry ${head.sequence}, entries ${missing} not there`,
      );
    },
    missing(seen) {
      for (const chain of chains.keys()) {
        const head = highest(chain, 0);
        if (seen.has(chain) || head === undefined) continue;
        problem(`chain ${chain} is missing: ${head.by} tells of its entry ${head.sequence}`);
      }
    },
    anchors: () => anchors,
  };
}
