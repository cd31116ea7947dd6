import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * A webhook's secret authenticates deliveries (HMAC), so it must be there in the clear when one is sent. The database
 * has it encrypted: AES-256-GCM under a key derived (HKDF-SHA-256) from the secret file that all API processes share,
 * bound to the webhook's id. Who reads the database, or a backup of it, cannot forge a delivery.
 */
export interface WebhookSecrets {
  /** A new secret: shown once to who makes the webhook. */
  create(webhookId: string): { readonly secret: string; readonly sealed: Buffer };
  /** @throws where it was sealed under another file, for another webhook, or was changed. */
  open(webhookId: string, sealed: Buffer): string;
}

const nonceLength = 12;
const tagLength = 16;

/** @param rootSecret the content of `userActionSecretFile`. */
export function createWebhookSecrets(rootSecret: Buffer): WebhookSecrets {
  const key = Buffer.from(hkdfSync('sha256', rootSecret, '', 'hsm-driver webhook secrets v1', 32));
  return {
    create(webhookId) {
      const secret = randomBytes(32).toString('base64url');
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(webhookId));
      const content = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return { secret, sealed: Buffer.concat([nonce, cipher.getAuthTag(), content]) };
    },
    open(webhookId, sealed) {
      const tagEnd = nonceLength + tagLength;
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceLength), {
        authTagLength: tagLength,
      });
      decipher.setAAD(Buffer.from(webhookId)).setAuthTag(sealed.subarray(nonceLength, tagEnd));
      return Buffer.concat([decipher.update(sealed.subarray(tagEnd)), decipher.final()]).toString('utf8');
    },
  };
}
