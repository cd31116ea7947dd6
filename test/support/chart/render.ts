import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { parseAllDocuments, stringify } from 'yaml';
import { repository } from '../../../scripts/local/places.ts';
import { openChartTools } from './tools.ts';

export const chart = join(repository, 'helm');
export const examples = readdirSync(join(chart, 'examples')).filter((name) => name.endsWith('.yaml'));
const kubernetesVersion = '1.33';

/** A rendered object. Its members are what a test looks for, so they are open. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
  readonly [member: string]: unknown;
}

export interface Helm {
  /** Exit code and both outputs of a helm command. */
  run(...args: string[]): Promise<{ code: number; out: string; errors: string }>;
  /** `helm template` with values over the chart's own; throws Helm's message when it refuses. */
  render(values?: Values): Promise<readonly Manifest[]>;
  /** The message with which `helm template` refuses. */
  refusal(values: Values): Promise<string>;
}

/** A values file of helm/examples, or values. */
export type Values = string | Readonly<Record<string, unknown>>;

export async function openHelm(t: Test): Promise<Helm> {
  const { helm } = await openChartTools();
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-helm-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const env = { ...process.env, HELM_CACHE_HOME: directory, HELM_CONFIG_HOME: directory, HELM_DATA_HOME: directory };
  let files = 0;

  const run: Helm['run'] = (...args) =>
    new Promise((resolve) => {
      execFile(helm, args, { env, maxBuffer: 64 << 20 }, (error, out, errors) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, errors }),
      );
    });
  const template = (values: Values | undefined) => {
    const given = values === undefined ? [] : ['--values', fileOf(values)];
    return run('template', 'signing', chart, '--namespace', 'hsm', '--kube-version', kubernetesVersion, ...given);
  };
  function fileOf(values: Values): string {
    if (typeof values === 'string') return join(chart, 'examples', values);
    files += 1;
    const file = join(directory, `${files}.yaml`);
    writeFileSync(file, stringify(values));
    return file;
  }

  return {
    run,
    async render(values) {
      const { code, out, errors } = await template(values);
      if (code !== 0) throw new Error(errors);
      return parseAllDocuments(out).flatMap((document) => {
        const [problem] = document.errors;
        if (problem !== undefined) throw problem;
        const object = document.toJS() as Manifest | null;
        return object === null ? [] : [object];
      });
    },
    async refusal(values) {
      const { code, errors } = await template(values);
      if (code === 0) throw new Error('it was rendered');
      return errors;
    },
  };
}

/** The one object of this kind and name. */
export function only(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind && one.metadata.name === name);
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(
      `${found.length} ${kind} ${name}; there are ${manifests.map((m) => `${m.kind} ${m.metadata.name}`)}`,
    );
  return found[0];
}

/** A member deep inside an object, by its path; undefined where the path ends early. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);
}
