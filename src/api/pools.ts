import type pg from 'pg';
import type { DatabaseConfiguration } from '../shared/configuration/sections.ts';
import { createPool } from '../shared/database/pool.ts';
import type { Log } from '../shared/log.ts';

/** Connections of one API process: these and one for LISTEN. */
const connections = { relaxed: 5, durable: 4 } as const;
/** A statement without an answer for this long was sent into nothing; see PoolOptions. */
const queryTimeoutMs = 5_000;

export interface ApiPools {
  /** Commits that may be lost in a crash: what a waiting caller holds can be inserted again. */
  readonly relaxed: pg.Pool;
  /** Commits that are told to somebody. */
  readonly durable: pg.Pool;
}

/** @throws SECRET_FILE_* for the password file. */
export function openApiPools(database: DatabaseConfiguration, log: Log): ApiPools {
  const options = { applicationName: 'hsm-driver api', plainIndexScans: true, queryTimeoutMs };
  return {
    relaxed: createPool(database, { ...options, max: connections.relaxed, durability: 'relaxed' }, log),
    durable: createPool(database, { ...options, max: connections.durable, durability: 'durable' }, log),
  };
}
