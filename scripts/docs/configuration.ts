import { z } from 'zod';
import { apiConfiguration } from '../../src/shared/configuration/api.ts';
import { ceremonyConfiguration } from '../../src/shared/configuration/ceremony.ts';
import { driverConfiguration } from '../../src/shared/configuration/driver.ts';

interface Described {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly items?: Described;
}

/** docs/configuration.md, from the schemas: the text of a key is written once, where it is checked. */
export function configurationPage(): string {
  return `# Configuration

Printed from the schemas in \`src/shared/configuration\` by \`node scripts/docs/print.ts\`; do not edit.

Files are YAML. Unknown keys are errors, and all problems of a file are reported at once, each with its path. Paths are
relative to the configuration file. Secrets are never in a configuration: a key that ends in \`File\` and is described as
a secret file names a file that others must not be able to read (mode 0600 or 0640). Times that fit one another, and so are no
keys, are in [timeouts.md](timeouts.md), each with its reason.

${section('Driver: `hsm-driver run`', driverConfiguration)}
${section('Signing API: `hsm-driver api`', apiConfiguration)}
${section('Ceremony: `hsm-driver ceremony`', ceremonyConfiguration)}`;
}

function section(title: string, schema: z.ZodType): string {
  const described = z.toJSONSchema(schema, { io: 'input' }) as Described;
  return `## ${title}\n\n| key | | meaning |\n| --- | --- | --- |\n${rows(described, '').join('\n')}\n`;
}

function rows(schema: Described, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const necessity = schema.required?.includes(key) === true ? 'required' : optional(member);
    const line = `| \`${path}\` | ${necessity} | ${member.description ?? ''} |`;
    if (member.properties !== undefined) return [line, ...rows(member, path)];
    if (member.items?.properties !== undefined) return [line, ...rows(member.items, `${path}[]`)];
    return [line];
  });
}

function optional(member: Described): string {
  if (member.default === undefined || typeof member.default === 'object') return 'optional';
  return `default \`${String(member.default)}\``;
}
