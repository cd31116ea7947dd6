import { openApplication } from '../self-test/application.ts';
import { readClientFile } from '../self-test/client-file.ts';
import { selfTest } from '../self-test/self-test.ts';
import type { Command } from './command.ts';

/** Proof after an installation, an upgrade or a night: the same on Kubernetes (`helm test`), in a container, on a host. */
export const command: Command = {
  name: 'self-test',
  summary: 'have one signature made on each curve, as an application does, and verify it; --config is a client file',
  example: 'hsm-driver self-test --config client.json',
  options: [{ name: 'json', summary: 'print what was made as JSON', required: false, kind: 'switch' }],
  async run({ config, switches }) {
    const application = openApplication(readClientFile(config));
    try {
      const signatures = await selfTest(application);
      const text = signatures.map(
        ({ curve, keyId, newKey, signatureId, ms }) =>
          `${curve.padEnd(10)} ${signatureId} verified, ${ms} ms, key ${keyId}${newKey ? ' (new)' : ''}\n`,
      );
      process.stdout.write(switches.has('json') ? `${JSON.stringify({ signatures }, null, 2)}\n` : text.join(''));
    } finally {
      await application.close();
    }
  },
};
