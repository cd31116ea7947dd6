import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { CodedError } from '../../shared/errors.ts';
import { errorAnswer } from './error-answer.ts';
import { securityHeaders } from './security-headers.ts';

/**
 * Answers what is no HTTP request at all (Node's `clientError`): there is no reply object, so the answer is written
 * as text, in the same JSON shape as every other.
 */
export function refuseMalformedRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = statusOf(error.code);
  const { body } = errorAnswer(new CodedError('BAD_REQUEST', detail));
  const text = JSON.stringify({ ...body, error: { ...body.error, status } });
  const headers = {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...securityHeaders,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${text}`, () => socket.destroy());
}

function statusOf(code: string | undefined): [status: number, detail: string] {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'it did not arrive in time'];
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'its headers are too large'];
    default:
      return [400, 'it is not HTTP/1.1'];
  }
}
