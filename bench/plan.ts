import { parseArgs } from 'node:util';
import { type SectionName, sectionNames } from './sections/names.ts';

/** How long and how often everything is measured. */
export interface Plan {
  readonly sections: readonly SectionName[];
  readonly rounds: number;
  /** Of the raw loop, and of everything else, in one round. */
  readonly rawMs: number;
  readonly blockMs: number;
  /** Before a system is measured: code is compiled, keys are in memory. */
  readonly warmMs: number;
  /** Keys of each curve that strictly stateless requests are spread over: more than are ever on their way at once. */
  readonly keys: number;
  readonly inFlight: number;
  /** Requests of each kind that the check of authorisations is measured with. */
  readonly authorisedRequests: number;
  /** Keys that there are for a rotation to move. */
  readonly rotatedKeys: number;
  /** Rows that are put into both databases to see what their size costs. */
  readonly syntheticKeys: number;
  readonly syntheticJournalRows: number;
  readonly soakMs: number;
  /** What `npm run build` made, instead of the sources: without the loader that strips types. */
  readonly built: boolean;
  readonly directory: string | undefined;
  readonly json: string | undefined;
  /** Put the sections into the page of what was measured. */
  readonly write: boolean;
  readonly compare: string | undefined;
}

const lengths = {
  smoke: {
    rounds: 1,
    rawMs: 100,
    blockMs: 300,
    warmMs: 300,
    keys: 40,
    inFlight: 16,
    authorisedRequests: 50,
    rotatedKeys: 150,
    syntheticKeys: 1_000,
    syntheticJournalRows: 1_000,
  },
  quick: {
    rounds: 3,
    rawMs: 400,
    blockMs: 1_000,
    warmMs: 3_000,
    keys: 400,
    inFlight: 192,
    authorisedRequests: 1_000,
    rotatedKeys: 1_000,
    syntheticKeys: 50_000,
    syntheticJournalRows: 50_000,
  },
  full: {
    rounds: 4,
    rawMs: 1_500,
    blockMs: 2_500,
    warmMs: 6_000,
    keys: 1_000,
    inFlight: 192,
    authorisedRequests: 3_000,
    rotatedKeys: 3_000,
    syntheticKeys: 1_000_000,
    syntheticJournalRows: 10_000_000,
  },
} as const;

/** Sections that take minutes, or leave an installation behind that others cannot use: only where they are asked for. */
const alone: ReadonlySet<SectionName> = new Set(['database-size', 'rotation', 'soak']);

/** The sections that a run has when none is named. */
const usual: Readonly<Record<keyof typeof lengths, readonly SectionName[]>> = {
  smoke: ['raw', 'system'],
  quick: ['raw', 'system', 'driver-alone', 'authorisation', 'latency'],
  full: sectionNames.filter((name) => !alone.has(name)),
};

/** @throws TypeError for an argument that there is not. */
export function readPlan(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      soak: { type: 'boolean', default: false },
      minutes: { type: 'string', default: '60' },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      directory: { type: 'string' },
      built: { type: 'boolean', default: false },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      compare: { type: 'string' },
    },
  });
  const length = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full';
  const named = values.only.flatMap((text) => text.split(',')).map(sectionName);
  const sections = values.soak ? (['soak'] as const) : named.length > 0 ? named : usual[length];
  const rounds = values.rounds === undefined ? lengths[length].rounds : positive(values.rounds, 'rounds');
  return {
    ...lengths[length],
    sections,
    rounds,
    soakMs: positive(values.minutes, 'minutes') * 60_000,
    directory: values.directory,
    built: values.built,
    json: values.json,
    write: values.write,
    compare: values.compare,
  };
}

function sectionName(text: string): SectionName {
  const found = sectionNames.find((name) => name === text);
  if (found === undefined) throw new TypeError(`there is no section ${text}; there are ${sectionNames.join(', ')}`);
  return found;
}

function positive(text: string, name: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new TypeError(`--${name} must be a number above 0`);
  return value;
}
