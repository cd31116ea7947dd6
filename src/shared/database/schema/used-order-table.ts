/** Operators' orders that were carried out (src/shared/orders): the same table in both databases, in each for its own. */
export const usedOrderTable = (runtime: string): string => `
  create table used_order (
    id uuid primary key,
    kind text not null,
    subject text not null,
    -- Who signed it.
    operators text[] not null,
    -- Whole, so that the signatures can be checked again.
    signed_order jsonb not null,
    node text not null,
    used_at timestamptz not null default now()
  );
  grant select, insert on used_order to ${runtime};
`;
