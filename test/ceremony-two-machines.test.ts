import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { deliverByFile } from '../src/ceremony/by-file/deliver-by-file.ts';
import { isThere } from '../src/ceremony/by-file/exchange-files.ts';
import { mergeReceipt } from '../src/ceremony/by-file/merge-receipt.ts';
import { receiveByFile } from '../src/ceremony/by-file/receive-by-file.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { installation, targetMachine } from './support/ceremony-machines.ts';
import { runCommand } from './support/command.ts';
import { objectsOn } from './support/objects-on.ts';
import { ceremonyFor, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A ceremony on several machines, as docs/ceremony.md has it. */
t.setTimeout(400_000);
/** A token makes an RSA-4096 key meanwhile. */
const keyMs = 60_000;

t.test('tokens on machines of their own are filled, checked where they are, and go live', async (t) => {
  const { origin, file } = await installation(t);
  t.match(readCeremonyFile(file).tokens, [{ role: 'backup' }], 'no signing token is within reach');
  const targets = [];
  for (const name of ['a', 'b']) {
    const stick = temporaryDirectory(t);
    const target = await targetMachine(t, name, stick);
    const { machine, exchange } = target;
    const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
    await until('the request', () => isThere(stick, name, 'request'), keyMs);
    origin.hears = () => machine.shows(`Transport key of ${name}`).slice(0, 19);
    machine.hears = () => origin.shows('protocol file').slice(0, 16);
    const before = origin.screen.length;
    const delivered = await deliverByFile(origin.configuration, exchange, await origin.people());
    t.notOk(
      origin.screen.slice(before).some((line) => line.includes(machine.shows(`Transport key of ${name}`))),
      'the origin does not show what its second person must hear',
    );
    t.match(delivered.steps.at(-1), { step: 'deliver', attended: true, delivered: { slot: name } });
    const receipt = await receiving;
    t.same((await objectsOn(target.slot, CKA.EXTRACTABLE)).sort(), ['00', '00'], 'both keys are there, to stay');
    origin.hears = () => machine.shows(`receipt of ${name}`).slice(0, 19);
    const merged = await mergeReceipt(origin.configuration, exchange, await origin.people());
    t.match(merged.steps.slice(-2), [
      { step: 'add-token', at: receipt.at, attended: true, people: ['Ada', 'Grace'] },
      { step: 'merge', attended: true },
    ]);
    t.equal(
      merged.tokens.at(-1)?.transportKeySha256,
      merged.steps.findLast((one) => one.delivered)?.delivered?.transportKeySha256,
    );
    targets.push(target);
  }

  await t.rejects(goLive(origin.configuration, await origin.people(), false), {
    code: 'CEREMONY_REFUSED',
    detail: 'not live: backup was not checked; a was not checked; b was not checked',
  });
  // The protocol file goes from machine to machine; each checks its own token against it.
  let carried = file;
  for (const { machine, file: copy } of targets) {
    copyFileSync(carried, copy);
    await checkTokens(machine.configuration, await machine.people());
    carried = copy;
  }
  writeFileSync(file, readFileSync(carried));
  await checkTokens(origin.configuration, await origin.people());
  const live = await goLive(origin.configuration, await origin.people(), false);
  t.match(live.live, { rehearsal: false });

  const both = ceremonyFor(
    targets.map(({ slot }) => slot),
    file,
  );
  const { steps } = await checkTokens(both, await origin.people());
  t.match(
    steps.at(-1)?.record.join('\n'),
    /a new P-256 key, wrapped on a, opens and signs on b/,
    'the same master key',
  );
});

t.test('the commands do the same with nobody there: a rehearsal, and the protocol says so', async (t) => {
  const { origin, file } = await installation(t);
  const stick = temporaryDirectory(t);
  const { machine, slot } = await targetMachine(t, 'a', stick);
  const run = (configuration: CeremonyConfiguration, step: string) => {
    const config = join(temporaryDirectory(t), 'ceremony.yaml');
    writeFileSync(config, JSON.stringify(configuration)); // JSON is YAML
    return runCommand('ceremony', step, '--config', config, '--token', 'a', '--folder', stick, '--yes');
  };
  const receiving = run(machine.configuration, 'receive');
  await until('the request', () => isThere(stick, 'a', 'request'), keyMs);
  const delivered = await run(origin.configuration, 'deliver');
  t.match(delivered, { code: 0, out: /compared by nobody/ }, delivered.errors);
  const received = await receiving;
  t.match(received, { code: 0, out: /receipt of a, SHA-256/ }, received.errors);
  const merged = await run(origin.configuration, 'merge');
  t.match(merged, { code: 0, out: /protocol file .*, SHA-256/ }, merged.errors);
  t.match(
    readCeremonyFile(file).steps.map(({ step, attended }) => [step, attended]),
    [
      ['create', true],
      ['deliver', false],
      ['add-token', false],
      ['merge', false],
    ],
  );
  t.same(await objectsOn(slot, CKA.EXTRACTABLE), ['00', '00']);
});

t.test('keys that were handed to a token that never came back are told of before anything goes live', async (t) => {
  const { origin, file } = await installation(t);
  const content = readCeremonyFile(file);
  const step = {
    step: 'deliver',
    at: content.createdAt,
    attended: true,
    people: ['Ada', 'Grace'],
    delivered: { slot: 'lost', serial: 'f00', transportKeySha256: 'ab'.repeat(32) },
    record: [],
  };
  const checkedAt = content.createdAt;
  const signing = ['a', 'b'].map((slot) => ({ ...content.tokens[0], role: 'signing', slot, serial: slot }));
  const tokens = [...content.tokens, ...signing].map((token) => ({ ...token, checkedAt }));
  writeFileSync(file, JSON.stringify({ ...content, tokens, steps: [...content.steps, step] }));
  const asked: string[] = [];
  const people = await origin.people();
  const live = await goLive(
    origin.configuration,
    { ...people, agree: async (question) => void asked.push(question) },
    false,
  );
  t.match(asked, [/though the keys were also handed to lost \(f00\), of which no receipt was entered\?/]);
  t.match(live.steps.at(-1)?.record.join('\n'), /handed to lost \(f00\).*find out what became of it/);
});
