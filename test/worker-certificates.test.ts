import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { readClientIdentity } from '../src/shared/client-identity.ts';
import { createLog } from '../src/shared/log.ts';
import { createApiTransport } from '../src/worker/api-transport.ts';
import { openCertificateFiles } from '../src/worker/certificate-files.ts';
import { makeCertificates, type Pair } from './support/certificates.ts';
import { temporaryDirectory } from './support/soft-token.ts';

/** Certificates that are replaced on disk while a worker runs. */
const certificates = await makeCertificates(t);

/** The node's files, and what replaces them as a renewal does: written beside, then renamed. */
async function nodeFiles(t: Test, node: string) {
  const directory = temporaryDirectory(t);
  const files = { certificateFile: join(directory, 'cert.pem'), privateKeyFile: join(directory, 'key.pem') };
  const put = ({ certificateFile, privateKeyFile }: Partial<Pair>): void => {
    for (const [from, to] of [
      [certificateFile, files.certificateFile],
      [privateKeyFile, files.privateKeyFile],
    ] as const) {
      if (from === undefined) continue;
      writeFileSync(`${to}.new`, readFileSync(from), { mode: 0o600 });
      renameSync(`${to}.new`, to);
    }
  };
  put(await certificates.client(node));
  return { ...files, caFile: certificates.serverCaFile, put };
}

function lines() {
  const all: Record<string, unknown>[] = [];
  return { all, log: createLog('debug', {}, { write: (line) => void all.push(JSON.parse(line)) }) };
}

t.test('a new connection is made with the certificate that is on disk by then, without a restart', async (t) => {
  const server = createServer(
    {
      ca: readFileSync(certificates.clientCaFile),
      cert: readFileSync(certificates.server.certificateFile),
      key: readFileSync(certificates.server.privateKeyFile),
      requestCert: true,
    },
    (request, response) => {
      const { CN } = (request.socket as TLSSocket).getPeerCertificate().subject;
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ name: CN }));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { put, ...files } = await nodeFiles(t, 'node-1');
  const { log, all } = lines();
  const addresses = [`https://127.0.0.1:${(server.address() as AddressInfo).port}`];
  const transport = createApiTransport({ ...files, addresses }, log);
  t.teardown(() => transport.close());
  const ask = async (): Promise<string> => {
    const answer = z.object({ name: z.string() });
    return (await transport.post({ path: '/', body: {}, answer, patienceMs: 5_000, signal: undefined })).name;
  };
  t.equal(await ask(), 'node-1');
  const before = transport.certificateExpiresAt;
  t.ok(before > Date.now());
  put(await certificates.client('node-2'));
  t.equal(await ask(), 'node-1', 'a connection that is open keeps its certificate');
  server.closeAllConnections();
  // The pool notices at its next call that its connection is gone.
  await ask().catch(() => {});
  t.equal(await ask(), 'node-2');
  t.ok(transport.certificateExpiresAt >= before);
  t.equal(all.filter((line) => line.msg === 'certificate renewed').length, 1);
});

t.test('half of a renewal changes nothing, and is told once', async (t) => {
  const { put, ...files } = await nodeFiles(t, 'node-1');
  const { log, all } = lines();
  const watched = openCertificateFiles(files, log);
  const first = watched.current();
  const next = await certificates.strangerClient('node-1');
  put({ certificateFile: next.certificateFile });
  for (let at = 0; at < 3; at += 1) t.equal(watched.current(), first);
  t.match(
    all.map((line) => line.msg),
    ['replaced certificate is of no use'],
  );
  put({ privateKeyFile: next.privateKeyFile });
  const second = watched.current();
  t.not(second, first);
  t.ok(
    first.key.every((byte) => byte === 0),
    'the old private key is overwritten',
  );
  t.equal(watched.current(), second);
});

t.test('a private key that everybody can read is not taken', async (t) => {
  const { put, ...files } = await nodeFiles(t, 'node-1');
  const { log, all } = lines();
  const watched = openCertificateFiles(files, log);
  const first = watched.current();
  const next = await certificates.client('node-2');
  copyFileSync(next.certificateFile, files.certificateFile);
  writeFileSync(`${files.privateKeyFile}.open`, readFileSync(next.privateKeyFile), { mode: 0o644 });
  renameSync(`${files.privateKeyFile}.open`, files.privateKeyFile);
  t.equal(watched.current(), first);
  t.match(all, [{ cause: /chmod o-rwx/ }]);
  put(next);
  t.not(watched.current(), first);
});

t.test('a CA file without a certificate is refused: a connection made with it would trust nobody', async (t) => {
  const { put: _, ...files } = await nodeFiles(t, 'node-1');
  const caFile = `${files.certificateFile}.ca`;
  writeFileSync(caFile, readFileSync(files.caFile, 'utf8').slice(0, 80));
  t.throws(() => readClientIdentity({ ...files, caFile }), { code: 'CONFIG_INVALID', message: /holds no certificate/ });
  t.doesNotThrow(() => readClientIdentity(files));
});
