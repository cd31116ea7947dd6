import type { Migration } from '../../migrate.ts';

export const auditHeads: Migration = {
  version: 10,
  name: 'heads in the audit log',
  needs: 3,
  sql: () => `
    -- What chains tell of heads (head-signed, head-anchored), without reading all that stands between.
    create index audit_heads on audit_entry (chain, sequence) where entry like '%"kind":"head-%';
  `,
};
