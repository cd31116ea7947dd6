import { z } from 'zod';
import { signedHead } from '../shared/audit/signed-head.ts';
import { readChecksummed } from '../shared/read-checksummed.ts';
import { parseJson } from './export-format.ts';

/**
 * Signed heads that were kept elsewhere than the log: what `hsm-driver api audit-anchors` wrote, or the log lines of nodes
 * ("audit head"), as they were collected, other lines and prefixes included.
 */
const anchor = signedHead.extend({ keyStore: z.string().optional() });
export type Anchor = z.infer<typeof anchor>;

export interface Anchors {
  readonly anchors: readonly Anchor[];
  /** What is wrong with the file, as sentences. */
  readonly problems: readonly string[];
}

export const anchorsHeader = '{"format":"hsm-driver audit anchors v1"}';

export async function readAnchors(file: string): Promise<Anchors> {
  const anchors: Anchor[] = [];
  const problems: string[] = [];
  let number = 0;
  let isWhole = false;

  function take(text: string): void {
    number += 1;
    if (number === 1 && text === anchorsHeader) isWhole = true;
    // A collector may write the time and the stream before what the process wrote.
    const json = parseJson(text.slice(Math.max(0, text.indexOf('{'))));
    const told = (json as { auditHead?: unknown } | undefined)?.auditHead ?? json;
    const result = anchor.safeParse(told);
    if (result.success) anchors.push(result.data);
    else if (text.includes('"signature"') && text.includes('"hash"'))
      problems.push(`line ${number} of the anchors cannot be read`);
  }

  const { lines, end, lastLine } = readChecksummed(file);
  for await (const line of lines) take(line.toString('utf8'));
  const fate = end();
  // Collected log lines have no checksum; their last line is one like the others.
  if (!isWhole) take(lastLine());
  else if ('fault' in fate) problems.push(`the file with the anchors: ${fate.fault}`);
  if (anchors.length === 0) problems.push('there is no anchor in the file with the anchors');
  return { anchors, problems };
}
