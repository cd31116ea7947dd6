import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import t from 'tap';
import { repository } from '../scripts/local/places.ts';
import { createFinishedRequests } from '../src/api/operations/finished-requests.ts';
import { createApiMetrics } from '../src/api/operations/metrics.ts';
import { createMetrics } from '../src/primary/operations/metrics.ts';
import { metricEvents } from '../src/worker/metrics.ts';
import { at, chart, only, openHelm } from './support/chart/render.ts';

/** Alerts and dashboard against the product: a metric that nobody serves would never alarm. */
const helm = await openHelm(t);
const manifests = await helm.render('cloudhsm.yaml');
interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook_url: string };
}
const alerts = at(only(manifests, 'PrometheusRule', 'signing-hsm-signing'), 'spec', 'groups', 0, 'rules') as Alert[];

/** Families of both programs with their labels, from the registries that serve them. */
async function families(): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const register = Registry.prototype.registerMetric;
  Registry.prototype.registerMetric = function (this: Registry, metric: unknown) {
    const { name, labelNames, type } = metric as { name: string; labelNames: readonly string[]; type: string };
    const names =
      type === 'histogram' || 'buckets' in (metric as object)
        ? ['_bucket', '_sum', '_count'].map((end) => `${name}${end}`)
        : [name];
    for (const one of names) found.set(one, [...labelNames, ...(one.endsWith('_bucket') ? ['le'] : [])]);
    return register.call(this, metric as never);
  };
  try {
    createMetrics({ status: () => undefined as never, totals: () => new Map() });
    createApiMetrics({
      version: '0',
      finished: createFinishedRequests(),
      queueNumbers: async () => undefined,
      certificates: () => ({}),
      expiring: { driverCertificates: () => new Map(), nextToken: async () => null },
      ready: () => true,
      waitingForConnection: () => ({}),
    });
  } finally {
    Registry.prototype.registerMetric = register;
  }
  return found;
}
const known = await families();
/** Labels that Prometheus itself adds to what it scrapes. */
const scraped = ['namespace', 'pod'];

function problems(expression: string): readonly string[] {
  const selectors = expression.matchAll(/\b(hsm_[a-z_]+)(?:\{([^}]*)\})?/g);
  return [...selectors].flatMap(([, name = '', inner = '']) => {
    const labels = known.get(name);
    if (labels === undefined) return [`no metric ${name}`];
    const used = [...inner.matchAll(/([a-z_]+)(?:=~|!=|!~|=)/g)].map(([, label = '']) => label);
    return used
      .filter((label) => !labels.includes(label) && !scraped.includes(label))
      .map((label) => `${name} has no label ${label}`);
  });
}

t.test('the check of metrics finds what is not there', async (t) => {
  t.ok(known.size > 40);
  t.strictSame(problems('rate(hsm_driver_nothing_total[5m])'), ['no metric hsm_driver_nothing_total']);
  t.strictSame(problems('hsm_driver_slot_state{key="x"}'), ['hsm_driver_slot_state has no label key']);
});

t.test(
  'every metric and label in an alert is one that the product serves, and every event is one that it counts',
  async (t) => {
    t.ok(alerts.length >= 20);
    for (const { alert, expr } of alerts) {
      t.match(expr, /hsm_(driver|api)_/, alert);
      t.strictSame(problems(expr), [], alert);
      for (const [, events = ''] of expr.matchAll(/event=~?"([^"]+)"/g))
        for (const event of events.split('|'))
          t.ok(
            metricEvents.some((one) => one === event),
            `${alert}: ${event}`,
          );
    }
  },
);

t.test('every alert has a page with four heads, and every page an alert', async (t) => {
  const pages = join(repository, 'docs/runbook');
  for (const { alert, annotations } of alerts) {
    t.ok(annotations.runbook_url.endsWith(`/docs/runbook/${alert}.md`), alert);
    const file = join(pages, `${alert}.md`);
    t.ok(existsSync(file), alert);
    const heads = [...readFileSync(file, 'utf8').matchAll(/^#+ .*$/gm)].map(([head]) => head);
    t.strictSame(heads, [`# ${alert}`, '## Meaning', '## Impact', '## Diagnosis', '## Mitigation']);
    t.match(readFileSync(join(pages, 'README.md'), 'utf8'), `[${alert}](${alert}.md)`);
  }
  const names = readdirSync(pages).filter((name) => name !== 'README.md');
  t.equal(names.length, alerts.length);
  t.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length);
});

t.test('an alert that is not wanted is left out', async (t) => {
  const rules = await helm.render({ prometheusRule: { enabled: true, disabled: ['HsmNodeDead'] } });
  t.notMatch(JSON.stringify(rules), /"alert":"HsmNodeDead"/);
  t.match(JSON.stringify(rules), /"alert":"HsmPinRefused"/);
});

t.test('every metric of the dashboard is one that the product serves', async (t) => {
  const dashboard = only(manifests, 'ConfigMap', 'signing-hsm-signing-dashboard');
  const { panels } = JSON.parse(String(at(dashboard, 'data', 'hsm-signing.json'))) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  const targets = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  t.ok(targets.length > 15);
  for (const { title, expr } of targets) t.strictSame(problems(expr), [], title);
});

t.test('Prometheus finds the operations port of both parts', async (t) => {
  for (const part of ['driver', 'api']) {
    const monitor = only(manifests, 'ServiceMonitor', `signing-hsm-signing-${part}`);
    const wanted = Object.entries(at(monitor, 'spec', 'selector', 'matchLabels') as Record<string, string>);
    const services = manifests.filter(
      ({ kind, metadata }) =>
        kind === 'Service' && wanted.every(([label, value]) => metadata.labels?.[label] === value),
    );
    t.equal(services.length, 1, part);
    t.match(at(services[0], 'spec', 'ports'), [{ name: 'operations' }]);
  }
});

t.test('every metric that is served is on the page of operations', async (t) => {
  const page = readFileSync(join(repository, 'docs/operations.md'), 'utf8');
  for (const name of known.keys()) {
    const family = name.replace(/_(bucket|sum|count)$/, '');
    const short = family.replace(/^hsm_(driver|api)_/, '');
    const last = short.replace(/^(slot|session_threads|cluster|primary|resident|start)/, '');
    t.ok(page.includes(family) || page.includes(`\`_${short}`) || page.includes(`\`${last}\``), family);
  }
  t.ok(existsSync(join(chart, 'dashboards/hsm-signing.json')));
});
