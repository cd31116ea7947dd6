import t from 'tap';
import { parse } from 'yaml';
import { apiConfiguration } from '../src/shared/configuration/api.ts';
import { driverConfiguration } from '../src/shared/configuration/driver.ts';
import { at, chart, examples, type Manifest, only, openHelm, type Values } from './support/chart/render.ts';
import { invalidities } from './support/chart/validate.ts';

/** The Helm chart, rendered by the real Helm. */
const helm = await openHelm(t);
const everything: Values = 'cloudhsm.yaml';
const renderings = new Map<string, readonly Manifest[]>([['defaults', await helm.render()]]);
for (const example of examples) renderings.set(example, await helm.render(example));
const full = renderings.get('cloudhsm.yaml') ?? [];
const defaults = renderings.get('defaults') ?? [];

const ref = (secret: string) => ({ secret, key: 'pin' });
const slot = (name: string, tokenLabel: string, more: Record<string, unknown> = {}) => ({
  name,
  module: '/opt/hsm/lib/pkcs11.so',
  tokenLabel,
  pin: ref(`${name}-pin`),
  ...more,
});
const node = (...slots: unknown[]) => ({ tls: { secret: 'tls' }, slots });

t.test('helm lint --strict passes with the defaults and with every example', async (t) => {
  t.ok(examples.length >= 5);
  for (const values of [undefined, ...examples]) {
    const given = values === undefined ? [] : ['--values', `${chart}/examples/${values}`];
    const { code, out } = await helm.run('lint', '--strict', chart, ...given);
    t.equal(code, 0, out);
  }
});

t.test(
  'what is rendered holds against Kubernetes’ published schemas, with the defaults and with every example',
  async (t) => {
    for (const [name, manifests] of renderings) {
      t.ok(manifests.length > 8, name);
      t.strictSame(await invalidities(manifests), [], name);
    }
    const [first] = defaults.filter(({ kind }) => kind === 'StatefulSet');
    const changed = (more: object) =>
      ({ ...first, spec: { ...(first?.spec as object), ...more } }) as unknown as Manifest;
    t.match((await invalidities([changed({ bogusField: 1 })])).join(), /bogusField/);
    t.match((await invalidities([changed({ replicas: 'two' })])).join(), /spec\/replicas must be integer/);
    t.match((await invalidities([changed({ selector: undefined })])).join(), /must have required property selector/);
  },
);

/** Every configuration file in the ConfigMaps, by the name of its ConfigMap and file. */
function configurations(manifests: readonly Manifest[]): ReadonlyMap<string, { readonly kind: string }> {
  return new Map(
    manifests
      .filter(({ kind }) => kind === 'ConfigMap')
      .flatMap(({ metadata, data }) =>
        Object.entries(data as Record<string, string>)
          .filter(([file]) => file.endsWith('.yaml'))
          .map(([file, text]) => [`${metadata.name} ${file}`, parse(text)] as const),
      ),
  );
}

t.test('every configuration file that is rendered is one that the product accepts', async (t) => {
  for (const [name, manifests] of renderings) {
    const files = configurations(manifests);
    t.ok(files.size >= 3, name);
    for (const [file, content] of files) {
      const schema = content.kind === 'api' ? apiConfiguration : driverConfiguration;
      const { error } = schema.safeParse(content);
      t.equal(error?.message, undefined, `${name}: ${file}`);
    }
  }
});

t.test('every path in a configuration file is one that its pod mounts', async (t) => {
  for (const [name, manifests] of renderings) {
    for (const [title, content] of configurations(manifests)) {
      if (title.includes('migrate')) continue;
      const [configMap = '', file = ''] = title.split(' ');
      const workload = manifests.find(
        ({ kind, metadata }) => /^(StatefulSet|Deployment)$/.test(kind) && metadata.name === configMap,
      );
      const volumes = at(workload, 'spec', 'template', 'spec', 'volumes') as { name: string; projected?: unknown }[];
      const sources = at(
        volumes.find((one) => one.name === 'secrets'),
        'projected',
        'sources',
      ) as unknown[];
      const mounted = sources.map((one) => at(one, 'secret', 'items', 0, 'path'));
      const own = content.kind === 'driver' ? `${file.replace('.yaml', '')}/` : '';
      const secrets = JSON.stringify(content).matchAll(/"\/run\/hsm-signing\/secrets\/([^"]+)"/g);
      const paths = [...secrets].map(([, path]) => `${own}${path}`);
      t.ok(paths.length >= 5);
      for (const path of paths) t.ok(mounted.includes(path), `${name}: ${title}: ${path}`);
      t.equal(mounted.filter((path) => String(path).startsWith(own)).length, new Set(paths).size, 'and nothing else');
    }
  }
});

t.test('a container sees the secrets of its own node and no other’s', async (t) => {
  const [container] = at(
    only(full, 'StatefulSet', 'signing-hsm-signing-driver'),
    'spec',
    'template',
    'spec',
    'containers',
  ) as {
    volumeMounts: { name: string; subPathExpr?: string; readOnly?: boolean }[];
  }[];
  const secrets = container?.volumeMounts.filter(({ name }) => name === 'secrets');
  t.match(secrets, [{ subPathExpr: '$(POD_NAME)', readOnly: true }]);
});

t.test('what is not valid is refused before anything is installed, with the name of the value', async (t) => {
  const refused = async (values: Values, ...named: RegExp[]) => {
    const message = await helm.refusal(values);
    for (const one of named) t.match(message, one);
  };
  const driver = (more: Record<string, unknown>) => ({ driver: more });
  await refused({ replicas: 3 }, /additional properties 'replicas' not allowed/);
  await refused(driver({ replicas: 3 }), /\/driver.*additional properties 'replicas'/s);
  await refused(
    driver({ nodes: [node({ ...slot('a', 'x'), pinned: true })] }),
    /\/driver\/nodes\/0\/slots\/0.*'pinned'/s,
  );
  await refused(driver({ config: { logs: {} } }), /\/driver\/config.*'logs'/s);
  await refused(driver({ config: { log: { level: 'loud' } } }), /\/driver\/config\/log\/level/);
  await refused(driver({ config: { slots: [] } }), /\/driver\/config.*'slots'/s);
  await refused(driver({ nodes: [] }), /\/driver\/nodes.*minItems/s);
  await refused(driver({ nodes: [node()] }), /\/driver\/nodes\/0\/slots.*minItems/s);
  await refused(driver({ nodes: [{ slots: [slot('a', 'x')] }] }), /driver\.nodes\[0\]\.tls is missing/);
  await refused(driver({ nodes: [node(slot('a', 'x', { pin: ref('') }))] }), /\/slots\/0\/pin\/secret/);
  await refused(driver({ nodes: [node(slot('a', 'x', { pin: { key: 'pin' } }))] }), /\/slots\/0\/pin.*'secret'/s);
  await refused(driver({ database: { password: { secret: '' } } }), /\/driver\/database\/password\/secret/);
  await refused(
    driver({ nodes: [node(slot('a', 'x')), node(slot('b', 'x'))] }),
    /driver\.nodes\[1\]\.slots\[0\]\.tokenLabel "x" is also that of driver\.nodes\[0\]\.slots\[0\]/,
  );
  await refused(
    driver({ nodes: [node(slot('a', 'x'), slot('a', 'z'))] }),
    /driver\.nodes\[0\]\.slots\[1\]\.name "a" is also that of driver\.nodes\[0\]\.slots\[0\]/,
  );
  await refused(driver({ api: { addresses: [] } }), /driver\.api\.addresses is empty and api\.enabled is false/);
  await refused(driver({ library: { from: 'hostPath' } }), /driver\.library\.hostPath is missing/);
  await refused(driver({ enabled: false }), /driver\.enabled and api\.enabled are both false/);
  await refused({ api: { enabled: true } }, /api\.keyStores must have exactly one entry with primary: true/);
  await refused({ prometheusRule: { enabled: true, disabled: ['NoSuch'] } }, /prometheusRule\.disabled.*"NoSuch"/);
});

t.test('slots of one label are let in where their serial numbers differ', async (t) => {
  const two = [slot('a', 'x', { tokenSerial: '1' }), slot('b', 'x', { tokenSerial: '2' })];
  t.ok(await helm.render({ driver: { nodes: two.map((one) => node(one)) } }));
});

t.test('no rendered object holds a secret, and no container is given one by its environment', async (t) => {
  for (const [name, manifests] of renderings) {
    t.strictSame(
      manifests.filter(({ kind }) => kind === 'Secret'),
      [],
      name,
    );
    const text = JSON.stringify(manifests);
    t.notMatch(text, /PRIVATE KEY|secretKeyRef|envFrom/, name);
    t.notMatch(text, /"(password|pin|token|secret)":"[^"]*"/i, name);
  }
});

t.test('no pod runs as root, writes to its image, or has an account’s token', async (t) => {
  for (const [name, manifests] of renderings) {
    const specs = manifests
      .map((one) => (one.kind === 'Pod' ? one.spec : at(one, 'spec', 'template', 'spec')))
      .filter((one) => one !== undefined) as { containers: object[]; initContainers?: object[] }[];
    t.ok(specs.length >= 3, name);
    for (const spec of specs) {
      t.match(spec, {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      for (const container of [...spec.containers, ...(spec.initContainers ?? [])])
        t.match(container, {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        });
    }
  }
});

t.test('each part has one grace period, computed from what its stop may take', async (t) => {
  const grace = (manifests: readonly Manifest[], kind: string) =>
    at(
      manifests.find((one) => one.kind === kind),
      'spec',
      'template',
      'spec',
      'terminationGracePeriodSeconds',
    );
  t.equal(grace(full, 'StatefulSet'), 15);
  t.equal(grace(full, 'Deployment'), 5 + 20 + 5 + 5);
  const longer = await helm.render({
    api: {
      enabled: true,
      preStopSeconds: 10,
      config: { holdMs: 60_500 },
      keyStores: [{ id: 'main', primary: true, attestationPublicKey: `04${'0'.repeat(128)}` }],
    },
  });
  t.equal(grace(longer, 'Deployment'), 10 + 61 + 5 + 5);
});

t.test('driver nodes start together, are updated one by one, and block no drain', async (t) => {
  t.match(only(full, 'StatefulSet', 'signing-hsm-signing-driver'), {
    spec: { replicas: 2, podManagementPolicy: 'Parallel', updateStrategy: { type: 'RollingUpdate' } },
  });
  for (const part of ['driver', 'api'])
    t.match(only(full, 'PodDisruptionBudget', `signing-hsm-signing-${part}`), {
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
    });
});

t.test('the driver port is a layer 4 service, and its nodes are on the API’s list', async (t) => {
  t.match(only(full, 'Service', 'signing-hsm-signing-api-driver'), {
    spec: { ports: [{ name: 'driver', port: 8444, targetPort: 'driver' }] },
  });
  t.notOk(full.some(({ kind }) => kind === 'Ingress'));
  const api = configurations(full).get('signing-hsm-signing-api api.yaml');
  t.match(at(api, 'driver', 'nodes'), [
    { name: 'signing-hsm-signing-driver-0', keyStore: 'main' },
    { name: 'signing-hsm-signing-driver-1', keyStore: 'main' },
  ]);
});

t.test('everything is denied but what is named', async (t) => {
  const policies = full.filter(({ kind }) => kind === 'NetworkPolicy');
  const denied = policies.find(({ metadata }) => metadata.name.endsWith('default-deny'));
  t.match(denied, { spec: { policyTypes: ['Ingress', 'Egress'] } });
  t.equal(at(denied, 'spec', 'ingress') ?? at(denied, 'spec', 'egress'), undefined);
  for (const policy of policies.filter((one) => one !== denied))
    for (const direction of ['ingress', 'egress'])
      for (const rule of (at(policy, 'spec', direction) as { ports?: unknown[] }[] | undefined) ?? [])
        t.ok((rule.ports ?? []).length > 0, `${policy.metadata.name}: a rule without ports`);
  t.notOk((await helm.render({ networkPolicy: { enabled: false } })).some(({ kind }) => kind === 'NetworkPolicy'));
});

t.test('what is optional is not there until it is asked for', async (t) => {
  for (const kind of ['Deployment', 'ServiceMonitor', 'PrometheusRule'])
    t.notOk(
      defaults.some((one) => one.kind === kind),
      kind,
    );
  t.notOk(defaults.some(({ metadata }) => metadata.name.endsWith('-dashboard')));
  const none = await helm.render({
    migration: { enabled: false },
    test: { enabled: false },
    driver: { disruptionBudget: { enabled: false }, state: { persistent: false } },
  });
  for (const kind of ['Job', 'Pod', 'PodDisruptionBudget'])
    t.notOk(
      none.some((one) => one.kind === kind),
      kind,
    );
  t.notOk(JSON.stringify(none).includes('volumeClaimTemplates'));
  const api = await helm.render(everything);
  const only: Values = {
    driver: { enabled: false },
    api: { enabled: true, keyStores: [{ id: 'main', primary: true, attestationPublicKey: `04${'0'.repeat(128)}` }] },
  };
  t.ok(api.some(({ kind }) => kind === 'StatefulSet'));
  t.notOk((await helm.render(only)).some(({ kind }) => kind === 'StatefulSet'));
});

t.test('migrations run before anything else, with the owner’s role, which no other pod has', async (t) => {
  for (const part of ['driver', 'api']) {
    const job = only(full, 'Job', `signing-hsm-signing-migrate-${part}`);
    t.match(at(job, 'metadata', 'annotations'), { 'helm.sh/hook': 'pre-install,pre-upgrade' });
    t.match(JSON.stringify(job), /database-owner-password/);
  }
  const others = full.filter(({ metadata }) => !metadata.name.includes('migrate'));
  t.notMatch(JSON.stringify(others), /owner/);
});

t.test('rotation nodes are a release of their own, without a way to the API', async (t) => {
  const values = { driver: { rotation: { keysPerSecond: 50 }, nodes: [{ slots: [slot('rotation', 'rotation')] }] } };
  const manifests = await helm.render(values);
  for (const [file, content] of configurations(manifests)) {
    t.equal(driverConfiguration.safeParse(content).error?.message, undefined, file);
    t.match(content, { rotation: { keysPerSecond: 50 } });
    t.equal(at(content, 'api'), undefined);
  }
  const text = JSON.stringify(manifests.filter(({ metadata }) => metadata.name.endsWith('-driver')));
  t.notMatch(text, /tls\.key|api-ca|8444/);
  t.match(await helm.refusal({ ...values, api: { enabled: true } }), /driver\.rotation and api\.enabled/);
});

t.test(
  'the example of authorisation: drivers enforce, and both parts find the operators’ keys where they look',
  async (t) => {
    const manifests = renderings.get('authorisation.yaml') ?? [];
    const files = [...configurations(manifests)].filter(([title]) => !title.includes('migrate'));
    const drivers = files.map(([, content]) => content).filter(({ kind }) => kind === 'driver');
    t.equal(drivers.length, 2);
    for (const driver of drivers)
      t.match(driver, { authorisation: { mode: 'enforce' }, allowedKinds: ['Transaction', /./, /./, /./, /./] });
    for (const [title, content] of files) {
      t.match(content, { operators: { threshold: 2, keys: { length: 3 } } }, title);
      const [workload] = title.split(' ');
      const pod = at(
        manifests.find(({ kind, metadata }) => /^(StatefulSet|Deployment)$/.test(kind) && metadata.name === workload),
        'spec',
        'template',
        'spec',
      );
      const mounts = at(pod, 'containers', 0, 'volumeMounts') as {
        name: string;
        mountPath: string;
        readOnly?: boolean;
      }[];
      const mount = mounts.find(({ name }) => name === 'operators');
      t.equal(mount?.readOnly, true);
      for (const [, path = ''] of JSON.stringify(content).matchAll(/"publicKeyFile":"([^"]+)\/[^"/]+"/g))
        t.equal(path, mount?.mountPath, title);
      t.match(
        (at(pod, 'volumes') as { name: string }[]).find(({ name }) => name === 'operators'),
        { configMap: { name: 'hsm-operators' } },
      );
    }
  },
);

t.test('helm test has a signature made', async (t) => {
  const pod = only(full, 'Pod', 'signing-hsm-signing-signature');
  t.match(at(pod, 'metadata', 'annotations'), { 'helm.sh/hook': 'test' });
  t.match(at(pod, 'spec', 'containers', 0, 'args', 0), 'self-test');
});

t.test('a digest wins over a tag', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const text = JSON.stringify(await helm.render({ image: { repository: 'r.example/hsm', tag: '9', digest } }));
  t.match(text, `"image":"r.example/hsm@${digest}"`);
  t.notMatch(text, '"image":"r.example/hsm:9"');
});
