/** Seconds as words: "12 s", "3 min". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function clampFrame(frame: number, count: number): number {
  return Math.max(0, Math.min(count - 1, Math.round(frame)));
}

/** The runs of equal flags in a list, as [start, end) where the flag is set. */
export function spans(flags: boolean[]): [number, number][] {
  const found: [number, number][] = [];
  let start = -1;
  flags.forEach((flag, i) => {
    if (flag && start < 0) start = i;
    if (!flag && start >= 0) {
      found.push([start, i]);
      start = -1;
    }
  });
  if (start >= 0) found.push([start, flags.length]);
  return found;
}
