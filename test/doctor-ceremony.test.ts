import t from 'tap';
import { ceremonyFindings, furtherFindings, furtherTokenFindings, tokenFinding } from '../src/doctor/ceremony.ts';
import type { CeremonyFile } from '../src/shared/ceremony-file.ts';
import { createKeyStore } from './support/soft-token.ts';

/** What doctor says of a protocol file: a real one, with one thing changed at a time. */
const { ceremony } = await createKeyStore(t);
const [signing] = ceremony.tokens.filter(({ role }) => role === 'signing');
if (signing === undefined) throw new Error('no token signs');

const warned = (change: Partial<CeremonyFile>): readonly string[] =>
  ceremonyFindings({ ...ceremony, live: { at: ceremony.createdAt, rehearsal: false }, ...change })
    .filter(({ level }) => level !== 'good')
    .map(({ level, found }) => `${level}: ${found}`);

t.test('a ceremony that two people held for two tokens and a backup leaves nothing to say', async (t) => {
  t.same(warned({}), []);
});

t.test('keys that are not live are a problem, rehearsed ones a warning', async (t) => {
  const { live: _, ...unfinished } = ceremony;
  t.match(ceremonyFindings(unfinished), [{}, { level: 'problem', found: /has not gone live/ }]);
  t.match(warned({ live: { at: ceremony.createdAt, rehearsal: true } }), [/^warning: .* as a rehearsal$/]);
});

t.test('one signing token, no backup token, and tokens that were retired are warned of', async (t) => {
  const others = ceremony.tokens.filter((one) => one === signing || one.role !== 'signing');
  t.match(warned({ tokens: others }), [/its loss stops all signing/]);
  const retiredAt = ceremony.createdAt;
  const retired = ceremony.tokens.map((one) => (one === signing ? { ...one, retiredAt } : one));
  t.match(warned({ tokens: retired }), [/its loss stops all signing/]);
  const withoutBackup = ceremony.tokens.filter(({ role }) => role === 'signing');
  t.match(warned({ tokens: withoutBackup }), [/no HSM can ever be added/]);
  t.same(warned({ tokens: withoutBackup, keysFrom: 'vendor tools' }), []);
});

t.test('a token that cannot stop an attack is named with the attack; a stranger is a problem', async (t) => {
  t.match(tokenFinding(ceremony, signing.serial), { level: 'good' });
  const tierB = { notTaken: ['CKA_UNWRAP_TEMPLATE'], allows: ['unwrap as extractable'] };
  t.match(tokenFinding({ tokens: [{ ...signing, tierB }] }, signing.serial), {
    level: 'warning',
    found: /tier B.*unwrap as extractable; no CKA_UNWRAP_TEMPLATE/,
  });
  t.match(tokenFinding(ceremony, '0000'), { level: 'problem', found: /serial 0000/ });
});

t.test(
  'further protocol files are named with their keys, and a token that one of them does not name is warned of',
  async (t) => {
    const { live: _, ...unfinished } = ceremony;
    t.match(furtherFindings([{ ...ceremony, live: { at: ceremony.createdAt, rehearsal: false } }, unfinished]), [
      {
        level: 'good',
        found: `rows under master key ${ceremony.masterKey.id} and integrity key ${ceremony.integrityKey.id}`,
      },
      { level: 'good' },
      {},
      { level: 'problem', found: /has not gone live/ },
    ]);
    t.same(furtherTokenFindings([ceremony], signing.serial), []);
    const others = ceremony.tokens.filter((one) => one !== signing);
    const lacks = `the protocol file of ${ceremony.masterKey.id} does not name this token`;
    t.match(furtherTokenFindings([{ ...ceremony, tokens: others }], signing.serial), [
      { level: 'warning', found: lacks },
    ]);
  },
);
