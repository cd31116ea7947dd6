import { z } from 'zod';
import { apiConfiguration } from '../../src/shared/configuration/api.ts';
import { driverConfiguration } from '../../src/shared/configuration/driver.ts';
import { slot } from '../../src/shared/configuration/sections.ts';
import {
  configMapFile,
  database,
  disruptionBudget,
  egress,
  image,
  objectName,
  passedOnList,
  pods,
  port,
  secretFile,
  service,
  texts,
  tls,
} from './values-sections.ts';

/** The chart’s values (helm/values.yaml says what each is for). Slots and key stores are the product’s own schemas. */
const chartSlot = slot.omit({ pinFile: true }).extend({ pin: secretFile });

const sidecar = z.strictObject({
  name: objectName,
  image: z.string().min(1),
  command: z.array(z.string()),
  args: z.array(z.string()),
  env: passedOnList,
  volumeMounts: passedOnList,
  securityContext: z.record(z.string(), z.unknown()),
  resources: z.record(z.string(), z.unknown()),
});

/** `config` stands for the product’s own keys: they are put in when the schema is printed. */
const free = z.record(z.string(), z.unknown());

const driverNode = z.strictObject({
  name: z.string().min(1).max(64).optional(),
  // A rotation node has none: it has no access to the API.
  tls: tls.optional(),
  slots: z.array(chartSlot).min(1),
  config: free.optional(),
});

export const chartValues = z.strictObject({
  global: free.optional(),
  nameOverride: z.string(),
  fullnameOverride: z.string(),
  commonLabels: texts,
  image,
  keyStore: z.string().min(1).max(64),
  driver: z.strictObject({
    enabled: z.boolean(),
    nodes: z.array(driverNode).min(1),
    rotation: driverConfiguration.shape.rotation,
    api: z.strictObject({ addresses: z.array(z.string().regex(/^https:\/\//)), ca: secretFile }),
    database,
    ceremony: configMapFile,
    library: z.strictObject({
      from: z.enum(['image', 'initContainer', 'hostPath', 'sidecar']),
      mountPath: z.string().regex(/^\//),
      initContainer: sidecar.partial().optional(),
      hostPath: z.strictObject({ path: z.string().regex(/^\//) }).optional(),
      sidecar: sidecar.partial().optional(),
    }),
    state: z.strictObject({ persistent: z.boolean(), size: z.string().min(1), storageClass: z.string() }),
    config: free,
    operationsPort: port,
    disruptionBudget,
    hardAntiAffinity: z.boolean(),
    ...pods,
  }),
  api: z.strictObject({
    enabled: z.boolean(),
    replicas: z.int().min(1),
    application: z.strictObject({ port, tls, service }),
    driver: z.strictObject({ port, tls, clientCa: secretFile, nodes: z.array(free), service }),
    database,
    userActionSecret: secretFile,
    keyStores: z.array(apiConfiguration.shape.keyStores.element),
    config: free,
    operationsPort: port,
    preStopSeconds: z.int().min(0).max(60),
    disruptionBudget,
    hardAntiAffinity: z.boolean(),
    ...pods,
  }),
  migration: z.strictObject({
    enabled: z.boolean(),
    activeDeadlineSeconds: z.int().min(1),
    backoffLimit: z.int().min(0),
    resources: free,
    podAnnotations: texts,
  }),
  networkPolicy: z.strictObject({
    enabled: z.boolean(),
    dns: egress,
    metricsFrom: passedOnList,
    driver: z.strictObject({ database: egress, api: egress, hsm: z.array(free) }),
    api: z.strictObject({
      applicationFrom: passedOnList,
      driverFrom: passedOnList,
      database: egress,
      webhooks: z.strictObject({ enabled: z.boolean(), to: passedOnList }),
    }),
  }),
  serviceMonitor: z.strictObject({
    enabled: z.boolean(),
    interval: z.string().regex(/^\d+(ms|s|m)$/),
    labels: texts,
  }),
  prometheusRule: z.strictObject({
    enabled: z.boolean(),
    labels: texts,
    runbookUrl: z.string().regex(/^https:\/\/.*[^/]$/),
    disabled: z.array(z.string().min(1)),
    certificateDays: z.int().min(1),
    oldestRequestSeconds: z.int().min(1),
    signSeconds: z.number().positive(),
  }),
  grafanaDashboard: z.strictObject({ enabled: z.boolean(), labels: texts, annotations: texts }),
  test: z.strictObject({ enabled: z.boolean(), client: z.strictObject({ secret: objectName }) }),
});
