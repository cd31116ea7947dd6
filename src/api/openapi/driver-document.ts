import type { z } from 'zod';
import {
  keysAnswer,
  keysCall,
  leaseAnswer,
  leaseCall,
  outcomesAnswer,
  outcomesCall,
  refusal,
  releaseAnswer,
  releaseCall,
} from '../../shared/driver-protocol.ts';
import { jsonContent, jsonSchema } from './schema.ts';

/** The OpenAPI 3.1 document of the driver listener: driver protocol v1. */
export function driverDocument(): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Signing API, driver protocol',
      version: '1',
      description: 'Mutual TLS: the client certificate names the node. Unknown members are ignored on both sides.',
    },
    security: [{ mutualTls: [] }],
    paths: {
      '/driver/v1/lease': post(
        'lease',
        'Renew what is held, and take work; held open while there is none',
        leaseCall,
        leaseAnswer,
      ),
      '/driver/v1/outcomes': post(
        'outcomes',
        'Report what was done; repeated until answered',
        outcomesCall,
        outcomesAnswer,
      ),
      '/driver/v1/keys': post('keys', 'What the API knows of the keys of the node’s key store', keysCall, keysAnswer),
      '/driver/v1/release': post('release', 'End an instance for ever', releaseCall, releaseAnswer),
    },
    components: {
      securitySchemes: { mutualTls: { type: 'mutualTLS' } },
      responses: {
        Refusal: {
          description: 'Every answer that is no success',
          content: jsonContent(jsonSchema(refusal, 'output')),
        },
      },
    },
  };
}

function post(operationId: string, summary: string, body: z.ZodType, answer: z.ZodType): Record<string, unknown> {
  return {
    post: {
      operationId,
      summary,
      requestBody: { required: true, content: jsonContent(jsonSchema(body, 'input')) },
      responses: {
        200: { description: 'Done', content: jsonContent(jsonSchema(answer, 'output')) },
        default: { $ref: '#/components/responses/Refusal' },
      },
    },
  };
}
