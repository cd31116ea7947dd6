import { z } from 'zod';
import { qualify, reportError } from '../../qualify/qualify.ts';
import { reportText } from '../../qualify/report-text.ts';
import { ceremonyConfiguration } from '../../shared/configuration/ceremony.ts';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import type { Command } from '../command.ts';

/**
 * `hsm-driver qualify`: what each HSM can do and is worth, for the configuration of a driver or of a ceremony. The report
 * goes to standard output and is printed even when it ends in an error; what is being done goes to standard error.
 */
export const command: Command = {
  name: 'qualify',
  summary: 'prove what the HSMs of a driver or ceremony configuration can do, and report it',
  example: 'hsm-driver qualify --config node-1.yaml --json > report.json',
  options: [
    { name: 'slot', summary: 'only this slot', required: false, kind: 'text' },
    {
      name: 'without-rates',
      summary: 'measure no rates: for an HSM that is at work for others',
      required: false,
      kind: 'switch',
    },
    { name: 'json', summary: 'print the report as JSON', required: false, kind: 'switch' },
  ],
  async run({ config, text, switches }) {
    const either = z.discriminatedUnion('kind', [driverConfiguration, ceremonyConfiguration]);
    const configuration = loadConfiguration(config, either);
    const say = (line: string): void => void process.stderr.write(`${line}\n`);
    const rates = !switches.has('without-rates');
    const report = await qualify({ configuration, slot: text.get('slot'), rates, say });
    const printed = switches.has('json') ? JSON.stringify(report, undefined, 2) : reportText(report);
    process.stdout.write(`${printed}\n`);
    const error = reportError(report);
    if (error !== undefined) throw error;
  },
};
