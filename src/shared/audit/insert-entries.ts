import type { AuditRows } from './chain.ts';

/**
 * The insert of entries as SQL text, for a statement of its own or as a part (`with told as (…)`) of the statement that
 * writes what they tell of. Entries that are there already are left out: a statement whose commit is unknown is repeated
 * as it was.
 * @param at number of the first of the three parameters, in the order of `auditParameters`.
 * @param condition SQL: no entry is written where it is false, e.g. because nothing was changed. Throw then.
 */
export function insertEntriesText(at: number, condition = 'true'): string {
  return `insert into audit_entry (chain, sequence, entry)
    select $${at}::uuid, $${at + 1}::bigint + place - 1, line
    from unnest(string_to_array($${at + 2}::text, E'\\n')) with ordinality as row (line, place)
    where ${condition}
    on conflict do nothing`;
}

export function auditParameters({ chain, first, lines }: AuditRows): readonly [string, number, string] {
  return [chain, first, lines];
}
