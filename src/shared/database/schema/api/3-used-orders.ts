import type { Migration } from '../../migrate.ts';
import { usedOrderTable } from '../used-order-table.ts';

export const usedOrders: Migration = { version: 3, name: 'used orders', needs: 2, sql: usedOrderTable };
