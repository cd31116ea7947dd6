/**
 * How far long work is: a bar that redraws itself where a terminal is there, else a plain line now and then, so that a log
 * can be read. On standard error: what a command prints is its result alone.
 */
export interface Progress {
  /** So many are done, of `total` where that was not known before. */
  at(done: number, total?: number): void;
  /** The work has ended, well or not: the last state stays. */
  end(): void;
}

/** A terminal or not; what a test reads is neither. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const redrawMs = 100;
const lineMs = 10_000;

export function startProgress(what: string, total?: number, output: ProgressOutput = process.stderr): Progress {
  const began = performance.now();
  const bar = output.isTTY === true;
  let state: ProgressState = { what, done: 0, total, elapsedMs: 0 };
  let shownAt = Number.NEGATIVE_INFINITY;
  let shown = '';

  function show(): void {
    const text = bar ? barText(state, output.columns ?? 80) : lineText(state);
    if (text === shown) return;
    output.write(bar ? `\r\u001b[2K${text}` : `${text}\n`);
    shown = text;
    shownAt = performance.now();
  }

  return {
    at(done, newTotal) {
      const now = performance.now();
      state = { what, done, total: newTotal ?? state.total, elapsedMs: now - began };
      if (now - shownAt >= (bar ? redrawMs : lineMs)) show();
    },
    end() {
      state = { ...state, elapsedMs: performance.now() - began };
      show();
      if (bar) output.write('\n');
    },
  };
}

export interface ProgressState {
  readonly what: string;
  readonly done: number;
  readonly total: number | undefined;
  readonly elapsedMs: number;
}

/** `checking keys: 1,200 of 4,000 (30 %), 400/s, 7 s left` */
export function lineText(state: ProgressState): string {
  const { what, done, total } = state;
  const of = total === undefined ? '' : ` of ${count(total)} (${percent(state)} %)`;
  return `${what}: ${count(done)}${of}${pace(state)}`;
}

/** The same with a bar in front, cut to the width of the terminal: a line that wraps could not be redrawn. */
export function barText(state: ProgressState, columns: number): string {
  const text = lineText(state);
  const width = Math.min(30, columns - text.length - 4);
  if (state.total === undefined || width < 5) return text.slice(0, columns - 1);
  const filled = Math.round((width * percent(state)) / 100);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${text}`;
}

function percent({ done, total }: ProgressState): number {
  return total === undefined || total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total));
}

function pace({ done, total, elapsedMs }: ProgressState): string {
  const perSecond = done / (elapsedMs / 1_000);
  if (!Number.isFinite(perSecond) || perSecond === 0) return '';
  const rate = `, ${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`;
  if (total === undefined || done >= total) return rate;
  return `${rate}, ${duration((total - done) / perSecond)} left`;
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}

function count(value: number): string {
  return value.toLocaleString('en-GB');
}
