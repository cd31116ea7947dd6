import type { Families } from '../../shared/operations/families.ts';
import type { NodeStatus } from './status.ts';

/** What is said of the node as a whole, and of the cluster as this node sees it. */
export function addNodeMetrics({ gauge }: Families, status: () => NodeStatus): void {
  gauge('ready', '1 when /readyz says ready', [], () => [[{}, Number(status().readiness.ready)]]);
  gauge('certificate_expiry_timestamp_seconds', 'When a certificate file of the node expires', ['certificate'], () => {
    const { certificate, apiCa } = status();
    return Object.entries({ client: certificate, 'API CA': apiCa }).flatMap(([name, facts]) =>
      facts?.notAfter === undefined ? [] : [[{ certificate: name }, Date.parse(facts.notAfter) / 1_000] as const],
    );
  });
  gauge('cluster_reachable', '1 while this node sees the cluster’s tables', [], () => [
    [{}, Number(status().cluster.reachable)],
  ]);
  gauge('cluster_leader', '1 while this node leads the cluster', [], () => [
    [{}, Number(status().cluster.leader?.self === true)],
  ]);
  gauge('cluster_nodes', 'Nodes of the key store, live and dead', ['state'], () => {
    const { nodes } = status().cluster;
    const live = nodes.filter((node) => node.live).length;
    return [
      [{ state: 'live' }, live],
      [{ state: 'dead' }, nodes.length - live],
    ];
  });
  gauge('cluster_alarms', 'Alarms in the leader’s verdict; /status has their texts', [], () => [
    [{}, status().cluster.verdict?.alarms.length ?? 0],
  ]);
  gauge('build_info', 'Version of this program and of Node.js', ['version', 'node_version'], () => [
    [{ version: status().version, node_version: process.versions.node }, 1],
  ]);
  gauge('primary_resident_memory_bytes', 'Memory of the primary', [], () => [[{}, process.memoryUsage.rss()]]);
  gauge('primary_start_time_seconds', 'When the primary started', [], () => [
    [{}, Date.parse(status().startedAt) / 1_000],
  ]);
}
