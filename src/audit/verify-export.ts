import { readChecksummed } from '../shared/read-checksummed.ts';
import type { Anchors } from './anchors-file.ts';
import { createChainCheck } from './chain-check.ts';
import { createExpectedHeads } from './expected-heads.ts';
import { type ExportHeader, parseChainLine, parseEntry, parseHeader, understood } from './export-format.ts';
import type { Pinned } from './pinned.ts';

export interface AuditVerdict {
  readonly sound: boolean;
  /** Where and what; the first hundred. */
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly exportedAt: string | undefined;
  readonly chains: number;
  readonly entries: number;
  /** Heads whose signature by the attestation key holds. */
  readonly signedHeads: number;
  /** Heads from elsewhere that were compared. */
  readonly anchors: number;
  /** Entries behind the last proven head of their chain: nothing speaks for them yet. */
  readonly unproven: number;
}

const shownProblems = 100;

/**
 * Checks an export without a database or an HSM. A changed, removed, moved or inserted entry no longer fits its neighbours;
 * a chain that was sealed anew from some entry on contradicts a signed head; a cut end is seen by heads that were kept
 * elsewhere: in other chains, and in `anchors`.
 */
export async function verifyExport(
  file: string,
  pinned: Pinned,
  { anchors, problems: anchorProblems }: Anchors = { anchors: [], problems: [] },
  onProgress: (entries: number) => void = () => {},
): Promise<AuditVerdict> {
  const problems: string[] = [];
  let problemCount = 0;
  const problem = (text: string): void => {
    problemCount += 1;
    if (problems.length < shownProblems) problems.push(text);
  };

  for (const one of anchorProblems) problem(one);
  const expected = createExpectedHeads(pinned, problem);
  for (const anchor of anchors) expected.fromAnchor(anchor);
  await collectAnchored(file, expected.fromChain);

  const check = createChainCheck(pinned, expected, problem);
  const { lines, end } = readChecksummed(file);
  let header: ExportHeader | undefined;
  let number = 0;
  for await (const line of lines) {
    number += 1;
    const text = line.toString('utf8');
    if (number === 1) {
      header = parseHeader(text);
      if (header === undefined) problem('line 1 is not the header of an audit export');
      else if (header.keyStore !== pinned.keyStore)
        problem(`it is of key store ${header.keyStore}, the ceremony file of ${pinned.keyStore}`);
      continue;
    }
    const chain = parseChainLine(text);
    if (chain === undefined) check.entry(line, text, number);
    else check.chain(chain, number);
    onProgress(check.counts().entries);
  }
  check.end();
  expected.missing(check.seen);
  const fate = end();
  if ('fault' in fate) problem(`the file: ${fate.fault}`);
  return {
    sound: problemCount === 0,
    problems,
    problemCount,
    exportedAt: header?.exportedAt,
    ...check.counts(),
    anchors: expected.anchors(),
  };
}

/** Chains come in the order of their ids, so a head may be told before or after the chain that it speaks of. */
async function collectAnchored(
  file: string,
  anchored: (by: string, chain: string, head: { sequence: number; hash: string }) => void,
): Promise<void> {
  let by = '';
  for await (const line of readChecksummed(file).lines) {
    by = parseChainLine(line.toString('latin1')) ?? by;
    if (!line.includes('"kind":"head-anchored"')) continue;
    const entry = parseEntry(line.toString('utf8'));
    const told = entry && understood['head-anchored'].safeParse(entry.json).data;
    if (told !== undefined) anchored(`entry ${entry?.sequence} of chain ${by}`, told.chain, told.head);
  }
}
