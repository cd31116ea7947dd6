import { fileURLToPath } from 'node:url';
import { repository } from '../../scripts/local/places.ts';

/** V8's .cpuprofile, as far as it is used here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds from the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface Frame {
  readonly name: string;
  /** File and line, or the package, or what V8 calls it. */
  readonly where: string;
}

/** Frames in which the thread did nothing. */
const restful = ['(idle)', '(program)', '(root)'];

/** Busy time of each stack, innermost frame last, in milliseconds. */
export function stacksOf({ nodes, samples, timeDeltas }: CpuProfile): Map<readonly Frame[], number> {
  const frames = new Map<number, Frame>();
  const parents = new Map<number, number>();
  for (const { id, callFrame, children = [] } of nodes) {
    frames.set(id, frameOf(callFrame));
    for (const child of children) parents.set(child, id);
  }
  const selfMs = new Map<number, number>();
  for (const [at, id] of samples.entries()) selfMs.set(id, (selfMs.get(id) ?? 0) + (timeDeltas[at] ?? 0) / 1_000);
  const stacks = new Map<readonly Frame[], number>();
  for (const [id, ms] of selfMs) {
    if (restful.includes(frames.get(id)?.name ?? '')) continue;
    const stack: Frame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = frames.get(at);
      if (frame !== undefined && frame.name !== '(root)') stack.unshift(frame);
    }
    stacks.set(stack, ms);
  }
  return stacks;
}

function frameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): Frame {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (!url.startsWith('file:')) return { name, where: url === '' ? 'native' : url };
  const path = fileURLToPath(url);
  const packaged = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  return { name, where: packaged ?? `${path.replace(`${repository}/`, '')}:${lineNumber + 1}` };
}

/** The largest first. */
export function shares(
  stacks: ReadonlyMap<readonly Frame[], number>,
  of: (stack: readonly Frame[]) => Iterable<string>,
) {
  const sums = new Map<string, number>();
  let total = 0;
  for (const [stack, ms] of stacks) {
    total += ms;
    for (const name of new Set(of(stack))) sums.set(name, (sums.get(name) ?? 0) + ms);
  }
  return { total, sums: [...sums].sort(([, a], [, b]) => b - a) };
}

/** The form that flame graph programs read: frames joined by semicolons, a space, microseconds. */
export function foldedText(stacks: ReadonlyMap<readonly Frame[], number>): string {
  const lines = [...stacks].map(
    ([stack, ms]) =>
      `${stack.map(({ name, where }) => `${name} (${where})`.replaceAll(';', ',')).join(';')} ${Math.round(ms * 1_000)}`,
  );
  return `${lines.join('\n')}\n`;
}
