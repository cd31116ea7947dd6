import type pg from 'pg';
import t from 'tap';
import { isUnreachable, mayBeDone } from '../src/shared/database/faults.ts';
import { createLog } from '../src/shared/log.ts';
import { createDriverDatabase, DatabaseLost } from '../src/worker/database.ts';

/** What is the database's fault and what the statement's: a request fails for good only by the latter. */
const error = (code: string | undefined, message = 'said the driver') =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

t.test('what the network, TLS or a server that stops says is the database’s fault', async (t) => {
  const codes = ['ECONNREFUSED', 'ECONNRESET', 'ENETUNREACH', 'EHOSTDOWN', 'EADDRNOTAVAIL', 'EMFILE', 'ETIMEDOUT'];
  const tls = ['CERT_HAS_EXPIRED', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'];
  const states = ['08006', '57P01', '57P03', '53300', '25006', '28P01'];
  for (const code of [...codes, ...tls, 'ERR_TLS_CERT_ALTNAME_INVALID', 'DEPTH_ZERO_SELF_SIGNED_CERT', ...states])
    t.ok(isUnreachable(error(code)), code);
  for (const text of ['Connection terminated unexpectedly', 'There was an error establishing an SSL connection'])
    t.ok(isUnreachable(error(undefined, text)), text);
  t.ok(isUnreachable(new AggregateError([error('ENETUNREACH'), error('ECONNREFUSED')])));
});

t.test('what the statement or this program did wrong is not', async (t) => {
  for (const code of ['23505', '22P05', '42P01', 'ERR_INVALID_ARG_TYPE', 'ERR_ASSERTION']) {
    t.notOk(isUnreachable(error(code)), code);
    t.notOk(mayBeDone(error(code)), code);
  }
  t.notOk(isUnreachable(error(undefined, 'undefined is not a function')));
});

t.test('a statement may be done where the connection broke under it, not where there was none', async (t) => {
  for (const one of [error('ECONNRESET'), error('57P01'), error(undefined, 'Query read timeout')]) t.ok(mayBeDone(one));
  for (const one of [error('ECONNREFUSED'), error('57P03'), error('ENETUNREACH')]) t.notOk(mayBeDone(one));
  t.notOk(mayBeDone(error(undefined, 'timeout exceeded when trying to connect')));
  t.notOk(mayBeDone(new AggregateError([error('ECONNREFUSED')])));
});

t.test('whatever keeps a worker from connecting is a lost database', async (t) => {
  const pool = { connect: () => Promise.reject(error('ESOMETHING', 'of a system to come')) } as unknown as pg.Pool;
  const configuration = { host: '127.0.0.1', port: 1, name: 'driver' };
  const database = createDriverDatabase(
    pool,
    configuration as Parameters<typeof createDriverDatabase>[1],
    createLog('silent', {}),
  );
  t.teardown(() => database.stop());
  await t.rejects(database.query({ name: 'any', text: 'select 1' }, []), DatabaseLost);
  t.notOk(database.answers);
});
