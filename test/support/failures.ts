/** Longest excerpt of one failure, in lines: the sentence, the place and the difference fit; a table does not. */
const linesOfEach = 40;

/** Longest line kept: an assertion's own message may carry the whole output of a program. */
const lineLength = 600;

/** Most failures repeated: after that the first ones are what to look at. */
const most = 20;

/** What is worth saying of a subtest or a file: its assertions failed before it did, or its process ended in this way. */
const howItEnded = /^\s*(exitCode|signal|tapCaught|expired|failReason): (?!null)/;

const marksOfYaml = /^\s*(---|\.\.\.)?$/;

interface Failure {
  indent: number;
  /** Ended its subtest or file: tells how long that took. */
  whole: boolean;
  lines: string[];
}

/**
 * Collects from TAP (version 14, subtests indented by four spaces) each `not ok` line with its diagnostics and the subtests
 * that it stands in, so that they can be said again at the end: the output of a whole run is far longer than what a terminal
 * or a CI service shows of it.
 */
export function collectFailures(): { line: (text: string) => void; lines: () => string[] } {
  const path: string[] = [];
  const failures: Failure[] = [];
  // The failure whose diagnostics are being read.
  let open: Failure | undefined;

  return {
    line(text) {
      const indent = text.length - text.trimStart().length;
      const subtest = /^\s*# Subtest: (.*)$/.exec(text);
      if (subtest !== null) path.splice(indent / 4, Number.POSITIVE_INFINITY, subtest[1] as string);
      if (/^\s*not ok /.test(text)) {
        const where = [...path.slice(0, indent / 4), text.trim()].join(' > ').slice(0, lineLength);
        open = { indent, whole: / # time=[\d.]+ms$/.test(text), lines: [where] };
        failures.push(open);
        return;
      }
      if (open === undefined) return;
      // Diagnostics are indented by two more than the line that they belong to.
      if (text.trim() !== '' && indent <= open.indent) open = undefined;
      else if (open.lines.length > linesOfEach || marksOfYaml.test(text)) return;
      else if (!open.whole || howItEnded.test(text)) open.lines.push(text.slice(open.indent).slice(0, lineLength));
    },

    lines() {
      const left = failures.length - most;
      const said = failures.slice(0, most).flatMap(({ lines }) => lines);
      return left > 0 ? [...said, `and ${left} more`] : said;
    },
  };
}
