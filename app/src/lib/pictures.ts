// Pictures by address, decoded once and kept while there is room.

const MOST = 160;
const kept = new Map<string, Promise<ImageBitmap | null>>();

async function load(address: string): Promise<ImageBitmap | null> {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok) return null;
  // alpha stays straight and colours stay as they are, so that nothing fringes
  return createImageBitmap(await answer.blob(), { premultiplyAlpha: "default", colorSpaceConversion: "none" });
}

/** The picture at an address; null if it is not there (yet), which is not remembered. */
export function picture(address: string): Promise<ImageBitmap | null> {
  let found = kept.get(address);
  if (found) {
    kept.delete(address);
  } else {
    found = load(address).catch(() => null);
    void found.then((bitmap) => {
      if (!bitmap && kept.get(address) === found) kept.delete(address);
    });
  }
  kept.set(address, found);
  while (kept.size > MOST) kept.delete(kept.keys().next().value!);
  return found;
}

export function prefetch(addresses: string[]): void {
  for (const address of addresses) void picture(address);
}
