/** The straight line through points (least squares), and how surely its slope is known. */
export interface Trend {
  readonly slope: number;
  /** Standard error of the slope. */
  readonly error: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** NaN for fewer than three points. */
export function trend(points: readonly Point[]): Trend {
  if (points.length < 3) return { slope: Number.NaN, error: Number.NaN };
  const mean = (of: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const variance = mean((point) => (point.x - x) ** 2);
  const slope = mean((point) => (point.x - x) * (point.y - y)) / variance;
  const rest = mean((point) => (point.y - y - slope * (point.x - x)) ** 2);
  return { slope, error: Math.sqrt(rest / variance / (points.length - 2)) };
}
