import { buildFaultModule } from './build.ts';
import { readStatistics } from './statistics.ts';

/** For people: prints the path of the module, which is built if need be, or what a statistics file holds, as JSON. */
const [command = 'build', file] = process.argv.slice(2);
if (command === 'build' && file === undefined) console.log(await buildFaultModule());
else if (command === 'statistics' && file !== undefined) {
  // Most counters are 0: those are left out.
  console.log(JSON.stringify(readStatistics(file), (_, value) => (value === 0 ? undefined : value), 2));
} else {
  console.error(`usage: ${process.argv[1]} [build | statistics FILE]`);
  process.exitCode = 2;
}
