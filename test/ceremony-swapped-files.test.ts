import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { deliverByFile } from '../src/ceremony/by-file/deliver-by-file.ts';
import { isThere, readExchange } from '../src/ceremony/by-file/exchange-files.ts';
import { mergeReceipt } from '../src/ceremony/by-file/merge-receipt.ts';
import { receiveByFile } from '../src/ceremony/by-file/receive-by-file.ts';
import { checkTokens } from '../src/ceremony/check.ts';
import { goLive } from '../src/ceremony/go-live.ts';
import { readCeremonyFile } from '../src/shared/ceremony-file.ts';
import { installation, targetMachine } from './support/ceremony-machines.ts';
import { objectsOn } from './support/objects-on.ts';
import { temporaryDirectory } from './support/soft-token.ts';
import { until } from './support/until.ts';

/** A ceremony on several machines, and somebody who has the stick on its way. */
t.setTimeout(400_000);
/** A token makes an RSA-4096 key meanwhile. */
const keyMs = 60_000;

t.test('whoever swaps the transport key on the way gets nothing: the digits heard are others', async (t) => {
  const { origin, file } = await installation(t);
  const before = readFileSync(file);
  const stick = temporaryDirectory(t);
  const [honest, thief] = [await targetMachine(t, 'a', stick), await targetMachine(t, 'a', temporaryDirectory(t))];
  const interrupted = [honest, thief].map(async ({ machine, exchange }) =>
    receiveByFile(machine.configuration, exchange, await machine.people()),
  );
  const outcomes = Promise.allSettled(interrupted);
  await until(
    'both requests',
    () => [honest, thief].every(({ exchange }) => isThere(exchange.folder, 'a', 'request')),
    keyMs,
  );
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
  const [one, other] = [await installation(t), await installation(t)];
  const stick = temporaryDirectory(t);
  const { machine, exchange, slot } = await targetMachine(t, 'a', stick);
  const heard = (): string => machine.shows('Transport key of a').slice(0, 19);
  const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
  await until('the request', () => isThere(stick, 'a', 'request'), keyMs);
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
  await until('the request', () => isThere(again.folder, 'a', 'request'), keyMs);
  writeFileSync(join(again.folder, 'a.delivery.json'), earlier.subarray(0, 200)); // still being copied
  writeFileSync(join(again.folder, 'a.delivery.json'), earlier);
  await t.rejects(second, { code: 'CEREMONY_REFUSED', detail: /for another transport key: of an earlier attempt/ });
  t.same(await objectsOn(slot), []);
});

t.test('a receipt is entered only where a delivery asks for it, and as its machine wrote it', async (t) => {
  const { origin, file } = await installation(t);
  const stick = temporaryDirectory(t);
  const { machine, exchange } = await targetMachine(t, 'a', stick);
  const receiving = receiveByFile(machine.configuration, exchange, await machine.people());
  await until('the request', () => isThere(stick, 'a', 'request'), keyMs);
  origin.hears = () => machine.shows('Transport key of a').slice(0, 19);
  machine.hears = () => origin.shows('protocol file').slice(0, 16);
  await deliverByFile(origin.configuration, exchange, await origin.people());
  await receiving;

  const stranger = await installation(t);
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
