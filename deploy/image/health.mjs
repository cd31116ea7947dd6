// The image's health check: /livez of the operations server, which both a node and the API have where it is configured.
// HEALTH_PORT says where; a container whose configuration has no operations section is healthy while it runs.
const port = process.env.HEALTH_PORT ?? '9464';
try {
  const { ok } = await fetch(`http://127.0.0.1:${port}/livez`, { signal: AbortSignal.timeout(4_000) });
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  process.exitCode = error.cause?.code === 'ECONNREFUSED' && process.env.HEALTH_PORT === undefined ? 0 : 1;
}
