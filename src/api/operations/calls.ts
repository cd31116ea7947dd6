import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';

/** Up to the longest time that a POST is held. */
const bucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60];

/**
 * Counts and times the calls to a listener. The label is the route's pattern, never the path that was called: ids are no
 * labels, and what finds no route is one label together.
 */
export function createCallTimes(registry: Registry, name: string) {
  const histogram = new Histogram({
    name,
    help: 'From the arrival of a call to the end of its answer',
    labelNames: ['listener', 'method', 'route', 'status'],
    buckets: bucketsSeconds,
    registers: [registry],
  });
  return {
    /** Call it before the server listens. */
    watch(listener: 'application' | 'driver', server: FastifyInstance): void {
      server.addHook('onResponse', async (request, reply) => {
        const route = request.routeOptions.url ?? 'none';
        const method = request.routeOptions.url === undefined ? 'any' : request.method;
        histogram.observe({ listener, method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
      });
    },
  };
}
export type CallTimes = ReturnType<typeof createCallTimes>;
