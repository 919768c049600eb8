// Changes of cues. All functions return new objects, so that undo can keep the old ones.
import type { PageCue, PageObject } from "./api";

export type Box = [number, number, number, number];

export const COLOURS = ["#e0662f", "#2f7fe0", "#2fa866", "#a34fd0", "#d0a52f", "#d04f7d", "#2fa8a8", "#7d8a2f"];

export function newObject(objects: PageObject[]): PageObject {
  const id = Math.max(0, ...objects.map((item) => item.id)) + 1;
  return {
    id,
    name: `object ${id}`,
    cues: [],
    in_front_of: [],
    colour: COLOURS[(id - 1) % COLOURS.length]!,
    shown: true,
    locked: false,
  };
}

export function cueAt(object: PageObject, frame: number): PageCue | undefined {
  return object.cues?.find((cue) => cue.frame === frame);
}

function emptyCue(frame: number): PageCue {
  return { frame, points: [], hidden: false };
}

function withCue(object: PageObject, cue: PageCue): PageObject {
  const others = (object.cues ?? []).filter((other) => other.frame !== cue.frame);
  return { ...object, cues: [...others, cue].sort((a, b) => (a.frame ?? 0) - (b.frame ?? 0)) };
}

export function addPoint(object: PageObject, frame: number, x: number, y: number, positive: boolean): PageObject {
  const cue = cueAt(object, frame) ?? emptyCue(frame);
  return withCue(object, { ...cue, hidden: false, points: [...(cue.points ?? []), [x, y, positive ? 1 : 0]] });
}

export function setBox(object: PageObject, frame: number, box: Box): PageObject {
  const cue = cueAt(object, frame) ?? emptyCue(frame);
  return withCue(object, { ...cue, hidden: false, box });
}

/** A painted mask says all there is to say in its frame. */
export function setMask(object: PageObject, frame: number, mask: string): PageObject {
  return withCue(object, { ...emptyCue(frame), mask });
}

export function setHidden(object: PageObject, frame: number): PageObject {
  return withCue(object, { ...emptyCue(frame), hidden: true });
}

export function removeCue(object: PageObject, frame: number): PageObject {
  return { ...object, cues: (object.cues ?? []).filter((cue) => cue.frame !== frame) };
}

/** Whether the cues tell what the object is: by a box, a mask, or a point on it. */
export function defines(object: PageObject): boolean {
  return (object.cues ?? []).some((cue) => cue.box || cue.mask || cue.points?.some((point) => point[2] !== 0));
}

/** The box between two corners, in whole pixels inside the frame; null if it is too small to be meant. */
export function boxBetween(a: [number, number], b: [number, number], width: number, height: number): Box | null {
  const clamp = (value: number, most: number) => Math.max(0, Math.min(most, value));
  const x0 = Math.floor(clamp(Math.min(a[0], b[0]), width));
  const y0 = Math.floor(clamp(Math.min(a[1], b[1]), height));
  const x1 = Math.ceil(clamp(Math.max(a[0], b[0]), width));
  const y1 = Math.ceil(clamp(Math.max(a[1], b[1]), height));
  return x1 - x0 >= 4 && y1 - y0 >= 4 ? [x0, y0, x1, y1] : null;
}

/** The objects with one moved; every object is then in front of those below it. */
export function reordered(objects: PageObject[], from: number, to: number): PageObject[] {
  const moved = [...objects];
  moved.splice(to, 0, ...moved.splice(from, 1));
  return moved.map((item, k) => ({ ...item, in_front_of: moved.slice(k + 1).map((other) => other.id) }));
}
