/** In the order in which they run. */
export const sectionNames = [
  'raw',
  'system',
  'driver-alone',
  'hot-keys',
  'user-actions',
  'authorisation',
  'key-generation',
  'latency',
  'network-hsm',
  'two-nodes',
  'database-size',
  'rotation',
  'soak',
] as const;
export type SectionName = (typeof sectionNames)[number];
