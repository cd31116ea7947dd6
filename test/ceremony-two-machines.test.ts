import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { twoPeople } from '../src/ceremony/attended.ts';
import { deliverByFile } from '../src/ceremony/by-file/deliver-by-file.ts';
import { isThere, readExchange } from '../src/ceremony/by-file/exchange-files.ts';
import { mergeReceipt } from '../src/ceremony/by-file/merge-receipt.ts';
import { receiveByFile } from '../src/ceremony/by-file/receive-by-file.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { createKeyStore } from '../src/ceremony/create.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import type { People } from '../src/ceremony/people.ts';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import type { CeremonyConfiguration } from '../src/shared/configuration/ceremony.ts';
import { CKA } from '../src/worker/hsm/constants.ts';
import { objectsOn } from './support/objects-on.ts';
import { addToken, backupFor, ceremonyFor, createSoftToken, temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/**
 * A ceremony on several machines: the backup token's, and one for each signing token. Each has its own configuration and
 * its own copy of the protocol file; a folder of files travels, and people tell each other digits.
 */
t.setTimeout(180_000);

/** What a machine shows on its screen, and the two people in front of it, who hear digits by telephone. */
class Machine {
  readonly screen: string[] = [];
  readonly configuration: CeremonyConfiguration;
  /** The digits that its second person hears, asked for when they are needed. */
  hears: () => string = () => '';

  constructor(configuration: CeremonyConfiguration) {
    this.configuration = configuration;
  }

  people(): Promise<People> {
    return twoPeople({
      say: (line) => void this.screen.push(line),
      ask: async (question) => {
        if (question.startsWith('Operator')) return 'Ada';
        if (question.startsWith('Second')) return 'Grace';
        if (question.includes('digits of what')) return this.readsHere();
        return question.includes('type the first') ? this.hears() : 'yes';
      },
    });
  }

  /** The digits of the last line that shows a SHA-256 of this. */
  shows(what: string): string {
    const line = this.screen.findLast((one) => one.includes(what) && one.includes('SHA-256')) ?? '';
    return line.split('SHA-256').at(-1)?.replace(/^.*: /, '').trim() ?? '';
  }

  /** Both readings on one screen: the backup token's own transport key. */
  private readsHere(): string {
    return this.shows('Transport key of backup').slice(0, 19);
  }
}

async function installation() {
  const file = join(temporaryDirectory(t), 'main.json');
  await addToken(backupFor(file));
  const origin = new Machine(ceremonyFor([], file));
  await createKeyStore(origin.configuration, await origin.people());
  return { origin, file };
}

async function targetMachine(name: string, stick: string) {
  const slot = await createSoftToken(t, name);
  const file = join(temporaryDirectory(t), 'main.json');
  const { backup: _, ...configuration } = ceremonyFor([slot], file);
  const machine = new Machine(configuration);
  return { slot, machine, file, exchange: { token: name, folder: stick } };
}

t.test('tokens on machines of their own are filled, checked where they are, and go live', async (t) => {
  const { origin, file } = await installation();
  t.match(readCeremonyFile(file).tokens, [{ role: 'backup' }], 'no signing token is within reach');
  const targets = [];
  for (const name of ['a', 'b']) {
    const stick = temporaryDirectory(t);
    const target = await targetMachine(name, stick);
    const { machine, exchange } = target;
    const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
    await until('the request', () => isThere(stick, name, 'request'));
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

t.test('whoever swaps the transport key on the way gets nothing: the digits heard are others', async (t) => {
  const { origin, file } = await installation();
  const before = readFileSync(file);
  const stick = temporaryDirectory(t);
  const [honest, thief] = [await targetMachine('a', stick), await targetMachine('a', temporaryDirectory(t))];
  const interrupted = [honest, thief].map(async ({ machine, exchange }) =>
    receiveByFile(machine.configuration, exchange, await machine.people()),
  );
  const outcomes = Promise.allSettled(interrupted);
  await until('both requests', () => [honest, thief].every(({ exchange }) => isThere(exchange.folder, 'a', 'request')));
  copyFileSync(join(thief.exchange.folder, 'a.request.json'), join(stick, 'a.request.json'));
  origin.hears = () => honest.machine.shows('Transport key of a').slice(0, 19);
  await t.rejects(deliverByFile(origin.configuration, honest.exchange, await origin.people()), {
    code: 'CEREMONY_REFUSED',
    detail: 'the transport key of a is not here what Grace heard from the machine of a',
  });
  t.notOk(existsSync(join(stick, 'a.delivery.json')));
  t.same(readFileSync(file), before, 'the protocol is as it was');

  // A request whose digest is not its key's is refused before anybody is asked.
  const request = readExchange(stick, 'a', 'request').content;
  const lying = { ...request, transportKey: { ...request.transportKey, sha256: 'ab'.repeat(32) } };
  writeFileSync(join(stick, 'a.request.json'), JSON.stringify(lying));
  await t.rejects(deliverByFile(origin.configuration, honest.exchange, await origin.people()), {
    code: 'CEREMONY_REFUSED',
    detail: /the origin has another transport key for a/,
  });

  process.emit('SIGINT', 'SIGINT');
  t.match(await outcomes, [
    { status: 'rejected', reason: { detail: 'interrupted by SIGINT' } },
    { status: 'rejected', reason: { detail: 'interrupted by SIGINT' } },
  ]);
  t.same(await objectsOn(honest.slot), []);
});

t.test('keys of another ceremony are not taken, nor what was meant for another transport key', async (t) => {
  const [one, other] = [await installation(), await installation()];
  const stick = temporaryDirectory(t);
  const { machine, exchange, slot } = await targetMachine('a', stick);
  const heard = (): string => machine.shows('Transport key of a').slice(0, 19);
  const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
  await until('the request', () => isThere(stick, 'a', 'request'));
  // Its people were told the digits of the right protocol; the stick brings the delivery of somebody else's.
  other.origin.hears = heard;
  machine.hears = () => one.origin.shows('protocol file').slice(0, 16);
  const [, refused] = await Promise.allSettled([
    other.origin.people().then((people) => deliverByFile(other.origin.configuration, exchange, people)),
    receiving,
  ]);
  t.match(refused, {
    reason: {
      code: 'CEREMONY_REFUSED',
      detail: 'the protocol file is not here what Grace heard from the machine of the backup token',
    },
  });
  t.same(await objectsOn(slot), []);

  await t.rejects(receiveByFile(machine.configuration, exchange, await machine.people()), {
    code: 'CEREMONY_REFUSED',
    detail: /a\.request\.json is there already, of an earlier attempt/,
  });
  // The earlier delivery, put back on the stick for a second attempt, is for a transport key that is gone.
  const earlier = readFileSync(join(stick, 'a.delivery.json'));
  const again = { ...exchange, folder: temporaryDirectory(t) };
  const second = receiveByFile(machine.configuration, again, await machine.people());
  second.catch(() => {});
  await until('the request', () => isThere(again.folder, 'a', 'request'));
  writeFileSync(join(again.folder, 'a.delivery.json'), earlier.subarray(0, 200)); // still being copied
  writeFileSync(join(again.folder, 'a.delivery.json'), earlier);
  await t.rejects(second, { code: 'CEREMONY_REFUSED', detail: /for another transport key: of an earlier attempt/ });
  t.same(await objectsOn(slot), []);
});

t.test('a receipt is entered only where a delivery asks for it, and as its machine wrote it', async (t) => {
  const { origin, file } = await installation();
  const stick = temporaryDirectory(t);
  const { machine, exchange } = await targetMachine('a', stick);
  const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
  await until('the request', () => isThere(stick, 'a', 'request'));
  origin.hears = () => machine.shows('Transport key of a').slice(0, 19);
  machine.hears = () => origin.shows('protocol file').slice(0, 16);
  await deliverByFile(origin.configuration, exchange, await origin.people());
  await receiving;

  const stranger = await installation();
  await t.rejects(mergeReceipt(stranger.origin.configuration, exchange, await stranger.origin.people()), {
    code: 'CEREMONY_REFUSED',
    detail: /the receipt of a is of mk-/,
  });
  const genuine = readFileSync(join(stick, 'a.receipt.json'));
  origin.hears = () => machine.shows('receipt of a').slice(0, 19);
  const { content } = readExchange(stick, 'a', 'receipt');
  const refusedAs = async (changed: object, detail: RegExp | string): Promise<void> => {
    writeFileSync(join(stick, 'a.receipt.json'), JSON.stringify({ ...content, ...changed }));
    await t.rejects(mergeReceipt(origin.configuration, exchange, await origin.people()), {
      code: 'CEREMONY_REFUSED',
      detail,
    });
  };
  await refusedAs(
    { people: ['Mallory', 'Eve'] },
    'the receipt of a is not here what Grace heard from the machine of a',
  );
  await refusedAs({ token: { ...content.token, serial: 'another' } }, /answers no delivery of this protocol/);
  await refusedAs({ token: { ...content.token, role: 'backup' } }, /is no receipt \(token\.role/);
  writeFileSync(join(stick, 'a.receipt.json'), genuine.subarray(0, genuine.length / 2));
  await t.rejects(mergeReceipt(origin.configuration, exchange, await origin.people()), {
    code: 'CEREMONY_REFUSED',
    detail: /is not whole/,
  });

  await checkTokens(origin.configuration, await origin.people());
  await t.rejects(goLive(origin.configuration, await origin.people(), false), {
    code: 'CEREMONY_REFUSED',
    detail: 'not live: no signing token is filled',
  });
  writeFileSync(join(stick, 'a.receipt.json'), genuine);
  await mergeReceipt(origin.configuration, exchange, await origin.people());
  await t.rejects(mergeReceipt(origin.configuration, exchange, await origin.people()), {
    code: 'CEREMONY_REFUSED',
    detail: /has already/,
  });
  t.match(readCeremonyFile(file).tokens.at(-1), { role: 'signing', slot: 'a' });
});

t.test('keys that were handed to a token that never came back are told of before anything goes live', async (t) => {
  const { origin, file } = await installation();
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
