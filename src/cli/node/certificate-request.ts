import { writeFileSync } from 'node:fs';
import { driverConfiguration } from '../../shared/configuration/driver.ts';
import { loadConfiguration } from '../../shared/configuration/load.ts';
import { requestCertificate } from '../../shared/crypto/certificate-request.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Command } from '../command.ts';

/** The first half of a client certificate: its key is made on the node, and what leaves the node is public. */
export const command: Command = {
  name: 'certificate request',
  summary: 'make the node’s private key (api.privateKeyFile) and print the request for its client certificate',
  example: 'hsm-driver certificate request --config node.yaml --out node-1.csr',
  options: [{ name: 'out', summary: 'file for the request; printed when absent', required: false, kind: 'text' }],
  async run({ config, text }) {
    const { api, node } = loadConfiguration(config, driverConfiguration);
    if (api === undefined)
      throw new CodedError('OPTION_INVALID', `${config} is of a rotation node, which has no access to the API`);
    const request = await requestCertificate(node, api.privateKeyFile);
    const out = text.get('out');
    if (out === undefined) return void process.stdout.write(request);
    writeFileSync(out, request);
    process.stdout.write(
      `The private key is ${api.privateKeyFile}. Have ${out} signed by the drivers’ CA, and put the certificate into ${api.certificateFile}.\n`,
    );
  },
};
