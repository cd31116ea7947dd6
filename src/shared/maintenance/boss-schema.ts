/** The schema of pg-boss in the driver database. Workers name it too, and load no pg-boss. */
export const bossSchema = 'maintenance';
