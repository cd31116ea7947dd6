import { z } from 'zod';

/** Sections that several parts of the chart’s values share. Strict throughout: a value that nothing reads is refused. */

/** Kubernetes checks its own objects; what is passed on to it is open here. */
const passedOn = z.record(z.string(), z.unknown());
export const passedOnList = z.array(passedOn);
export const texts = z.record(z.string(), z.string());

export const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
const fileKey = z
  .string()
  .min(1)
  .regex(/^[-._a-zA-Z0-9]+$/);
const port = z.int().min(1).max(65_535);

/** One file out of a Secret that is there already: the chart never sees what is in it. */
export const secretFile = z.strictObject({ secret: objectName, key: fileKey });
export const configMapFile = z.strictObject({ configMap: objectName, key: fileKey });
/** A Secret of type kubernetes.io/tls: tls.crt and tls.key. */
export const tls = z.strictObject({ secret: objectName });

export const image = z.strictObject({
  repository: z.string().min(1),
  tag: z.string(),
  digest: z.string().regex(/^(sha256:[0-9a-f]{64})?$/),
  pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
  pullSecrets: z.array(objectName),
});

export const database = z.strictObject({
  host: z.string().min(1),
  port,
  name: z.string().min(1),
  user: z.string().min(1),
  password: secretFile,
  ca: z.strictObject({ secret: z.string(), key: fileKey }),
  owner: z.strictObject({ user: z.string().min(1), password: secretFile }),
});

export const service = z.strictObject({
  type: z.enum(['ClusterIP', 'LoadBalancer', 'NodePort']),
  port,
  annotations: texts,
  loadBalancerClass: z.string(),
  loadBalancerSourceRanges: z.array(z.string().min(1)),
});

/** What Kubernetes does with the pods of one part. */
export const pods = {
  resources: passedOn,
  podAnnotations: texts,
  podLabels: texts,
  nodeSelector: texts,
  tolerations: passedOnList,
  affinity: passedOn,
  topologySpreadConstraints: passedOnList,
  priorityClassName: z.string(),
  extraVolumes: passedOnList,
  extraVolumeMounts: passedOnList,
};

export const disruptionBudget = z.strictObject({ enabled: z.boolean(), maxUnavailable: z.int().min(1) });
export const egress = z.strictObject({ to: passedOnList });
export { port };
