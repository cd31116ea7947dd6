/** In the order in which they run. */
export const sectionNames = ['raw', 'system', 'driver-alone', 'user-actions', 'key-generation', 'latency'] as const;
export type SectionName = (typeof sectionNames)[number];
