import { expect, it } from "vitest";
import { History } from "../src/lib/history";
import { clampFrame, duration, spans } from "../src/lib/time";

it("goes back and forth, and a new change ends the future", () => {
  const history = new History<string>();
  history.push("a");
  history.push("b");
  expect(history.undo("c")).toBe("b");
  expect(history.undo("b")).toBe("a");
  expect(history.undo("a")).toBeUndefined();
  expect(history.redo("a")).toBe("b");
  history.push("b");
  expect(history.canRedo).toBe(false);
  expect(history.undo("d")).toBe("b");
});

it("forgets what was longest ago", () => {
  const history = new History<number>(2);
  [1, 2, 3].forEach((value) => history.push(value));
  expect([history.undo(4), history.undo(3), history.undo(2)]).toEqual([3, 2, undefined]);
});

it("finds spans, frames and durations", () => {
  expect(spans([true, false, true, true])).toEqual([[0, 1], [2, 4]]);
  expect(spans([])).toEqual([]);
  expect([clampFrame(-3, 5), clampFrame(9, 5), clampFrame(0, 1)]).toEqual([0, 4, 0]);
  expect([duration(0.2), duration(89), duration(600), duration(7200)]).toEqual(["1 s", "89 s", "10 min", "2.0 h"]);
});
