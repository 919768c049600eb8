// Drawing of masks on the canvas.

const scratch = document.createElement("canvas");
const pen = scratch.getContext("2d", { willReadFrequently: false })!;

/** Draw a mask (opaque on the object) in a colour: its area lightly, its outline strongly. */
export function drawMask(
  target: CanvasRenderingContext2D,
  mask: CanvasImageSource,
  width: number,
  height: number,
  colour: string,
  x = 0,
  y = 0,
  strong = false,
): void {
  scratch.width = width;
  scratch.height = height;
  pen.drawImage(mask, 0, 0, width, height);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, width, height);
  pen.globalCompositeOperation = "source-over";
  target.globalAlpha = strong ? 0.5 : 0.38;
  target.drawImage(scratch, x, y);
  target.globalAlpha = 1;
  // the outline: the mask in all directions, without the mask itself
  const reach = Math.max(1, Math.round(Math.max(width, height) / 640));
  const inner = document.createElement("canvas");
  inner.width = width;
  inner.height = height;
  const ink = inner.getContext("2d")!;
  for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [1, 1], [-1, 1], [1, -1]] as const) {
    ink.drawImage(scratch, dx * reach, dy * reach);
  }
  ink.globalCompositeOperation = "destination-out";
  ink.drawImage(mask, 0, 0, width, height);
  target.drawImage(inner, x, y);
}

/** A grey checkerboard. */
export function drawBoard(target: CanvasRenderingContext2D, width: number, height: number): void {
  const size = 8;
  target.fillStyle = "#cdcdcd";
  target.fillRect(0, 0, width, height);
  target.fillStyle = "#a5a5a5";
  for (let y = 0; y < height; y += size) {
    for (let x = ((y / size) % 2) * size; x < width; x += 2 * size) target.fillRect(x, y, size, size);
  }
}
