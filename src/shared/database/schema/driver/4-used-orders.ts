import type { Migration } from '../../migrate.ts';
import { usedOrderTable } from '../used-order-table.ts';

export const usedOrders: Migration = { version: 4, name: 'used orders', needs: 3, sql: usedOrderTable };
