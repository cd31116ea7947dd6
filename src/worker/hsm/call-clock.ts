import type { CallClock } from './module.ts';

/** What the threads of a worker note about their native calls, in memory that the main thread reads: a cell a thread. */
export interface CallCells {
  /** When the call in flight began (process.hrtime), 0 between calls. */
  readonly began: BigInt64Array<SharedArrayBuffer>;
  /** Thread CPU time inside calls so far, microseconds; stays 0 unless it is measured. */
  readonly cpuMicros: BigInt64Array<SharedArrayBuffer>;
}

export function createCallCells(threads: number): CallCells {
  const cells = () => new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT * threads));
  return { began: cells(), cpuMicros: cells() };
}

/** Of one thread. @param measureCpu costs two system calls for each native call. */
export function createCallClock({ began, cpuMicros }: CallCells, index: number, measureCpu: boolean): CallClock {
  const clock: CallClock = {
    enter: () => void Atomics.store(began, index, process.hrtime.bigint()),
    leave: () => void Atomics.store(began, index, 0n),
  };
  if (!measureCpu) return clock;
  let before = process.threadCpuUsage();
  return {
    enter() {
      clock.enter();
      before = process.threadCpuUsage();
    },
    leave() {
      const { user, system } = process.threadCpuUsage(before);
      Atomics.add(cpuMicros, index, BigInt(user + system));
      clock.leave();
    },
  };
}

/** Milliseconds since the earliest call in flight began; 0 when none is. */
export function oldestCallMs({ began }: CallCells): number {
  let earliest = 0n;
  for (let index = 0; index < began.length; index += 1) {
    const one = Atomics.load(began, index);
    if (one !== 0n && (earliest === 0n || one < earliest)) earliest = one;
  }
  return earliest === 0n ? 0 : Math.max(0, Number(process.hrtime.bigint() - earliest) / 1e6);
}

/** Of all threads, milliseconds. */
export function cpuMs({ cpuMicros }: CallCells): number {
  let micros = 0n;
  for (let index = 0; index < cpuMicros.length; index += 1) micros += Atomics.load(cpuMicros, index);
  return Number(micros) / 1_000;
}
