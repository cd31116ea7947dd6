import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { CodedError } from '../../shared/errors.ts';
import { orderAbout, orderKinds } from '../../shared/orders/order.ts';
import { writeOrderFile } from '../../shared/orders/order-file.ts';
import { newOrder } from '../../shared/orders/sign-order.ts';
import type { Command } from '../command.ts';
import { orderLines } from './order-text.ts';

const defaultHours = 24;

/** `hsm-driver order new`: writes an order that nobody has signed yet. */
export const command: Command = {
  name: 'order new',
  summary: 'write an order for operators to sign',
  config: 'not needed',
  example:
    'hsm-driver order new --key-store custody --kind pin-clear --subject hsm-1 --reason "wrong PIN file, mended" --out order.json',
  options: [
    { name: 'key-store', summary: 'id of the key store', required: true, kind: 'text' },
    { name: 'kind', summary: `one of ${Object.keys(orderKinds).join(', ')}`, required: true, kind: 'text' },
    {
      name: 'subject',
      summary: Object.entries(orderKinds)
        .map(([kind, subject]) => `${kind}: ${subject}`)
        .join('; '),
      required: true,
      kind: 'text',
    },
    { name: 'document', summary: 'file that the order approves as it is', required: false, kind: 'text' },
    { name: 'reason', summary: 'why, for the people who sign', required: false, kind: 'text' },
    { name: 'hours', summary: `how long it is good; default ${defaultHours}`, required: false, kind: 'text' },
    { name: 'out', summary: 'file to write', required: true, kind: 'text' },
  ],
  async run({ text }) {
    const document = text.get('document');
    const about = orderAbout.safeParse({
      kind: text.get('kind'),
      subject: text.get('subject'),
      ...(document === undefined ? {} : { documentSha256: await sha256OfFile(document) }),
    });
    if (!about.success) {
      const problems = about.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`);
      throw new CodedError('OPTION_INVALID', problems.join('; '));
    }
    const content = { keyStore: text.get('key-store') ?? '', about: about.data, reason: text.get('reason') ?? '' };
    const order = newOrder(content, Number(text.get('hours') ?? defaultHours) * 3_600_000);
    writeOrderFile(text.get('out') ?? '', order, 'wx');
    process.stdout.write(`${orderLines(order).join('\n')}\n`);
  },
};

/** Lower-case hex, as `sha256sum` prints it. In flat memory: a backup is larger than a buffer can be. */
async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk);
    return hash.digest('hex');
  } catch (cause) {
    throw new CodedError('OPTION_INVALID', `${file} cannot be read (${(cause as Error).message})`, { cause });
  }
}
