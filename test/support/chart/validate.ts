import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { repository } from '../../../scripts/local/places.ts';
import { onItsOwn } from '../../../scripts/local/processes.ts';
import type { Manifest } from './render.ts';
import { openChartTools } from './tools.ts';

/**
 * Rendered objects against Kubernetes' published schemas, without a cluster: TypeScript's compiler with the types made from
 * its OpenAPI document finds unknown members and wrong types, the validators made from the same document find what is
 * missing or out of range. What the Prometheus operator defines has no published package: its shapes are here.
 */
export async function invalidities(manifests: readonly Manifest[]): Promise<readonly string[]> {
  const { modules } = await openChartTools();
  const own = manifests.filter(({ apiVersion }) => apiVersion === 'monitoring.coreos.com/v1');
  const kubernetes = manifests.filter((one) => !own.includes(one));
  return [
    ...own.flatMap(operatorProblems),
    ...kubernetes.flatMap((one) => validatorProblems(modules, one)),
    ...(await typeProblems(modules, kubernetes)),
  ];
}

/** API groups whose folder in kubernetes-types is not named like them. */
const folders: Record<string, string> = {
  v1: 'core/v1',
  'networking.k8s.io/v1': 'networking/v1',
};

async function typeProblems(modules: string, manifests: readonly Manifest[]): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'hsm-signing-types-'));
  try {
    symlinkSync(modules, join(directory, 'node_modules'));
    const lines = manifests.map((one, n) => {
      const folder = folders[one.apiVersion] ?? one.apiVersion;
      return `export const d${n}: import('kubernetes-types/${folder}').${one.kind} = ${JSON.stringify(one, null, 1)};`;
    });
    writeFileSync(join(directory, 'manifests.ts'), lines.join('\n'));
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: { strict: true, noEmit: true, module: 'nodenext', skipLibCheck: true, types: [] },
        files: ['manifests.ts'],
      }),
    );
    return await new Promise((resolve) => {
      const tsc = join(repository, 'node_modules/typescript/bin/tsc');
      const [program = '', ...rest] = onItsOwn([process.execPath, tsc, '-p', directory, '--pretty', 'false']);
      execFile(program, rest, (error, out, errors) =>
        resolve(error === null ? [] : `${out}${errors}`.trim().split('\n')),
      );
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function validatorProblems(modules: string, manifest: Manifest): readonly string[] {
  const path = join(modules, 'kubernetes-models', manifest.apiVersion, `${manifest.kind}.js`);
  const models = createRequire(import.meta.url)(path) as Record<string, new (data: unknown) => { validate(): void }>;
  const Model = models[manifest.kind];
  if (Model === undefined) return [`no schema of ${manifest.apiVersion} ${manifest.kind}`];
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [`${manifest.kind} ${manifest.metadata.name}: ${(error as Error).message}`];
  }
}

const texts = z.record(z.string(), z.string());
const metadata = z.strictObject({ name: z.string(), labels: texts });
const operatorObjects = z.discriminatedUnion('kind', [
  z.strictObject({
    apiVersion: z.string(),
    kind: z.literal('ServiceMonitor'),
    metadata,
    spec: z.strictObject({
      selector: z.strictObject({ matchLabels: texts }),
      endpoints: z.array(
        z.strictObject({ port: z.string(), path: z.string(), interval: z.string().regex(/^\d+(ms|s|m)$/) }),
      ),
    }),
  }),
  z.strictObject({
    apiVersion: z.string(),
    kind: z.literal('PrometheusRule'),
    metadata,
    spec: z.strictObject({
      groups: z.array(
        z.strictObject({
          name: z.string(),
          rules: z.array(
            z.strictObject({
              alert: z.string().regex(/^[A-Z][A-Za-z]+$/),
              expr: z.string().min(1),
              for: z
                .string()
                .regex(/^\d+[sm]$/)
                .optional(),
              labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
              annotations: z.strictObject({ summary: z.string().min(1), runbook_url: z.url() }),
            }),
          ),
        }),
      ),
    }),
  }),
]);

function operatorProblems(manifest: Manifest): readonly string[] {
  const { error } = operatorObjects.safeParse(manifest);
  return (error?.issues ?? []).map(({ path, message }) => `${manifest.kind} ${path.join('.')}: ${message}`);
}
