import { readAnchors } from '../../audit/anchors-file.ts';
import { pinnedByCeremony } from '../../audit/pinned.ts';
import { type AuditVerdict, verifyExport } from '../../audit/verify-export.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';
import { startProgress } from '../progress.ts';

/** Needs no database, no HSM and no network: an auditor runs it on a machine of their own. */
export const command: Command = {
  name: 'audit verify',
  summary: 'check an exported audit log, offline; exit code 0 when nothing was changed, removed, moved or put in',
  example: 'hsm-driver audit verify --export audit.jsonl --ceremony ceremony.json --anchors anchors.jsonl',
  config: 'not needed',
  options: [
    { name: 'export', summary: 'file of audit export', required: true, kind: 'text' },
    {
      name: 'ceremony',
      summary: 'the ceremony file of the key store: it pins the attestation key',
      required: true,
      kind: 'text',
    },
    {
      name: 'anchors',
      summary:
        'heads kept elsewhere, taken before the export: a file of api audit-anchors, or log lines of nodes; without them a missing end may not be seen',
      required: false,
      kind: 'text',
    },
    { name: 'json', summary: 'print JSON', required: false, kind: 'switch' },
  ],
  async run({ text, switches }) {
    const pinned = pinnedByCeremony(text.get('ceremony') ?? '');
    const anchorsFile = text.get('anchors');
    const anchors = anchorsFile === undefined ? undefined : await readAnchors(anchorsFile);
    const progress = startProgress('entries');
    let verdict: AuditVerdict;
    try {
      verdict = await verifyExport(text.get('export') ?? '', pinned, anchors, progress.at);
    } finally {
      progress.end();
    }
    process.stdout.write(switches.has('json') ? `${JSON.stringify(verdict)}\n` : shown(verdict, anchors !== undefined));
    if (!verdict.sound) throw new CodedError('AUDIT_LOG_ALTERED', `${verdict.problemCount} findings`);
  },
};

function shown(verdict: AuditVerdict, withAnchors: boolean): string {
  const { problems, problemCount, chains, entries, signedHeads, anchors, unproven, exportedAt } = verdict;
  const more = problemCount > problems.length ? [`… and ${problemCount - problems.length} more`] : [];
  const facts = [
    `exported at ${exportedAt ?? 'an unknown time'}: ${entries} entries in ${chains} chains`,
    `${signedHeads} heads in them are signed by the attestation key`,
    withAnchors
      ? `${anchors} heads that were kept elsewhere were compared`
      : 'no heads that were kept elsewhere were given: a missing end may not be seen',
    ...(unproven === 0 ? [] : [`${unproven} entries are newer than the last proven head of their chain`]),
  ];
  const verdictLine = verdict.sound ? 'The log holds.' : 'The log does not hold:';
  return `${[...facts, verdictLine, ...problems, ...more].join('\n')}\n`;
}
