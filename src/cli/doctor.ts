import { z } from 'zod';
import { signingApiChecks } from '../doctor/api-checks.ts';
import { examine } from '../doctor/check.ts';
import { driverChecks } from '../doctor/driver-checks.ts';
import { findingText, summaryText } from '../doctor/report-text.ts';
import { apiConfiguration } from '../shared/configuration/api.ts';
import { driverConfiguration } from '../shared/configuration/driver.ts';
import { loadConfiguration } from '../shared/configuration/load.ts';
import { CodedError } from '../shared/errors.ts';
import { createLog } from '../shared/log.ts';
import type { Command } from './command.ts';
import { askNodeStatus } from './node/node-status.ts';

/** `hsm-driver doctor`: looks at everything that a node or an API process rests on, changes nothing, tries no PIN. */
export const command: Command = {
  name: 'doctor',
  summary: 'check everything from configuration to clock and HSM, and say what to mend, in order; changes nothing',
  example: 'hsm-driver doctor --config node-1.yaml',
  options: [{ name: 'json', summary: 'print the findings as JSON', required: false, kind: 'switch' }],
  async run({ config, switches }) {
    const configuration = loadConfiguration(
      config,
      z.discriminatedUnion('kind', [driverConfiguration, apiConfiguration]),
    );
    // Its lines would stand between the findings.
    const log = createLog('silent', { process: 'doctor' });
    const askNode = async () =>
      configuration.kind === 'driver' && configuration.operations !== undefined
        ? await askNodeStatus(configuration.operations).catch(() => undefined)
        : undefined;
    const checks =
      configuration.kind === 'driver'
        ? driverChecks(configuration, askNode, log)
        : signingApiChecks(configuration, log);
    const json = switches.has('json');
    const all = await examine(checks, (one) => {
      if (!json) process.stdout.write(findingText(one));
    });
    process.stdout.write(json ? `${JSON.stringify(all, undefined, 2)}\n` : summaryText(all));
    const problems = all.filter(({ level }) => level === 'problem').length;
    if (problems > 0) throw new CodedError('DOCTOR_FOUND_PROBLEMS', `${problems} in ${config}`);
  },
};
