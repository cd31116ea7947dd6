import type pg from 'pg';

/**
 * The rows of a query in flat memory, through a cursor of the server. Only inside a transaction; what is read is the
 * transaction's snapshot where that is repeatable read.
 * @param name of the cursor, unique in the transaction
 */
export async function* readInBatches<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  name: string,
  query: string,
  rows = 1_000,
): AsyncGenerator<readonly Row[]> {
  await client.query(`declare ${name} no scroll cursor for ${query}`);
  for (;;) {
    const batch = (await client.query<Row>(`fetch ${rows} from ${name}`)).rows;
    if (batch.length > 0) yield batch;
    if (batch.length < rows) break;
  }
  await client.query(`close ${name}`);
}
