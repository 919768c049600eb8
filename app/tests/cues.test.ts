import { describe, expect, it } from "vitest";
import { addPoint, boxBetween, cueAt, defines, newObject, removeCue, reordered, setBox, setHidden, setMask } from "../src/lib/cues";

const empty = newObject([]);

describe("cues", () => {
  it("collects points in a frame and keeps the frames in order", () => {
    const two = addPoint(addPoint(empty, 5, 10, 20, true), 5, 30, 40, false);
    const three = addPoint(two, 2, 1, 1, true);
    expect(three.cues?.map((cue) => cue.frame)).toEqual([2, 5]);
    expect(cueAt(three, 5)?.points).toEqual([[10, 20, 1], [30, 40, 0]]);
    expect(empty.cues).toEqual([]); // what undo kept is not touched
  });

  it("lets a painted mask replace what the frame had, and a point correct it", () => {
    const painted = setMask(addPoint(empty, 3, 1, 2, true), 3, "masks/a.png");
    expect(cueAt(painted, 3)).toEqual({ frame: 3, points: [], hidden: false, mask: "masks/a.png" });
    const corrected = cueAt(addPoint(painted, 3, 5, 5, false), 3);
    expect(corrected?.mask).toBe("masks/a.png");
    expect(corrected?.points).toHaveLength(1);
  });

  it("is hidden or marked, not both", () => {
    const hidden = setHidden(setBox(empty, 0, [0, 0, 9, 9]), 0);
    expect(cueAt(hidden, 0)).toEqual({ frame: 0, points: [], hidden: true });
    expect(cueAt(addPoint(hidden, 0, 1, 1, true), 0)?.hidden).toBe(false);
  });

  it("knows what tells what the object is", () => {
    expect(defines(empty)).toBe(false);
    expect(defines(addPoint(empty, 0, 1, 1, false))).toBe(false);
    expect(defines(addPoint(empty, 0, 1, 1, true))).toBe(true);
    expect(defines(removeCue(setBox(empty, 0, [0, 0, 9, 9]), 0))).toBe(false);
  });

  it("draws boxes in any direction, inside the frame, and none for a click", () => {
    expect(boxBetween([50.6, 40.2], [10.2, -5], 100, 60)).toEqual([10, 0, 51, 41]);
    expect(boxBetween([10, 10], [11, 30], 100, 60)).toBeNull();
    expect(boxBetween([90, 50], [150, 90], 100, 60)).toEqual([90, 50, 100, 60]);
  });
});

describe("order", () => {
  it("puts a dragged object in front of all below it", () => {
    const three = [1, 2, 3].map((id) => ({ ...empty, id }));
    const moved = reordered(three, 2, 0);
    expect(moved.map((item) => item.id)).toEqual([3, 1, 2]);
    expect(moved.map((item) => item.in_front_of)).toEqual([[1, 2], [2], []]);
  });

  it("gives new objects ids and colours of their own", () => {
    const first = newObject([]);
    const second = newObject([{ ...first, id: 4 }]);
    expect([first.id, second.id]).toEqual([1, 5]);
    expect(first.colour).not.toBe(second.colour);
  });
});
