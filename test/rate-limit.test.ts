import t from 'tap';
import { createRateLimit } from '../src/api/authentication/rate-limit.ts';
import { call } from './support/application.ts';
import { openLiveApplication } from './support/live-application.ts';

t.test('a burst is allowed, then so many calls a second, for each token by itself', async (t) => {
  let now = 0;
  const limit = createRateLimit({ perSecond: 10, burst: 3 }, () => now);
  const taken = (token: string, count: number): number => {
    let done = 0;
    for (let at = 0; at < count; at += 1)
      try {
        limit.take(token);
        done += 1;
      } catch {
        // One too many.
      }
    return done;
  };
  t.equal(taken('a', 10), 3);
  t.equal(taken('b', 1), 1, 'another token');
  now += 100;
  t.equal(taken('a', 10), 1);
  now += 60_000;
  t.equal(taken('a', 10), 3, 'no more than a burst after a pause');
});

t.test('a token that calls too often is told when to come back, and nobody else is', async (t) => {
  const application = await openLiveApplication(t, { configuration: { rateLimit: { perSecond: 1, burst: 2 } } });
  const { account } = application;
  const other = await application.newAccount();
  const answers = await Promise.all(Array.from({ length: 6 }, () => call(application, account, 'GET', '/keys')));
  const refused = answers.filter(({ status }) => status === 429);
  t.ok(refused.length >= 3, `${refused.length} of 6`);
  t.match(refused[0], {
    headers: { 'retry-after': '1' },
    body: { error: { status: 429, details: { code: 'RATE_LIMITED' } } },
  });
  t.equal((await call(application, other, 'GET', '/keys')).status, 200);
  const guess = { authToken: `${account.authToken.slice(0, -43)}${'A'.repeat(43)}` };
  const guesses = await Promise.all(Array.from({ length: 6 }, () => call(application, guess, 'GET', '/keys')));
  t.ok(
    guesses.some(({ status }) => status === 429),
    'guesses of one token too',
  );
});
