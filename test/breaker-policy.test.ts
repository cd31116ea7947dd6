import t from 'tap';
import { afterProbe, pausesAfterFailureMs, pausesWithoutRoomMs, respond } from '../src/worker/device-policy.ts';
import { createEasing } from '../src/worker/easing.ts';
import { failure } from './support/software-hsm.ts';

t.test('what a failed call says decides what is done about the device', async (t) => {
  t.equal(respond(failure('healthy', 'HSM_REQUEST_REFUSED')), 'nothing');
  t.equal(respond(failure('healthy', 'KEY_UNUSABLE')), 'nothing');
  t.equal(respond(failure('healthy', 'HSM_BACK_PRESSURE')), 'ease');
  t.equal(respond(failure('suspect', 'HSM_DEVICE_FAULT')), 'probe');
  t.equal(respond(failure('suspect', 'SIGNATURE_INVALID')), 'probe');
  t.equal(respond(failure('lost', 'HSM_DEVICE_FAULT')), 'leave');
  t.equal(respond(failure('lost', 'PIN_REFUSED')), 'leave');
});

t.test('a probe that succeeds is the end of it', async (t) => {
  t.same(afterProbe({ ok: true, value: undefined }, 3, 9), { is: 'sound' });
});

t.test('failed probes are repeated after growing pauses, then the process leaves', async (t) => {
  const bad = failure('suspect', 'HSM_DEVICE_FAULT');
  for (const [failed, pauseMs] of pausesAfterFailureMs.entries()) {
    t.same(afterProbe(bad, failed, 0), { is: 'faulty', pauseMs });
  }
  t.match(afterProbe(bad, pausesAfterFailureMs.length, 0), { is: 'hopeless', error: { code: 'HSM_DEVICE_FAULT' } });
  t.ok(pausesAfterFailureMs.every((pause, at) => at === 0 || pause > (pausesAfterFailureMs[at - 1] ?? 0)));
  t.ok(pausesAfterFailureMs.reduce((sum, pause) => sum + pause, 0) <= 2_000, 'a new process does not wait long');
});

t.test('a probe that finds no room says nothing about the device, and is not repeated for ever', async (t) => {
  const crowded = failure('healthy', 'HSM_BACK_PRESSURE');
  t.match(afterProbe(crowded, 0, 0), { is: 'crowded', pauseMs: pausesWithoutRoomMs[0] });
  t.match(afterProbe(crowded, 0, pausesWithoutRoomMs.length), { is: 'hopeless', error: { code: 'HSM_BACK_PRESSURE' } });
});

t.test('what this process cannot mend ends it at once, under its own name', async (t) => {
  for (const code of ['PIN_REFUSED', 'MASTER_KEY_MISSING', 'MASTER_KEY_OTHER', 'HSM_DEVICE_FAULT'] as const) {
    t.match(afterProbe(failure('lost', code), 0, 0), { is: 'hopeless', error: { code } });
  }
  t.match(afterProbe(failure('lost', 'INTERNAL'), 0, 0), { is: 'hopeless', error: { code: 'HSM_DEVICE_FAULT' } });
});

t.test('no room: a pause, then half as many at a time; twice as many after each quiet while', async (t) => {
  let now = 1_000;
  const easing = createEasing(
    8,
    () => {},
    () => now,
  );
  t.equal(easing.limit(), Number.POSITIVE_INFINITY);
  easing.crowded();
  easing.crowded();
  t.equal(easing.limit(), 0, 'nothing begins during the pause');
  now += 100;
  t.equal(easing.limit(), 4, 'two complaints of calls that were inside together are one');
  easing.crowded();
  now += 150;
  t.equal(easing.limit(), 0, 'the pause grows');
  now += 50;
  t.equal(easing.limit(), 2);
  for (let at = 0; at < 5; at += 1) {
    easing.crowded();
    now += 2_000;
  }
  t.equal(easing.limit(), 1, 'one at a time is the least');
  now += 5_000;
  t.equal(easing.limit(), 2);
  now += 10_000;
  t.equal(easing.limit(), Number.POSITIVE_INFINITY);
});
