// How many pixels an image has, from its first bytes: what a browser would need to draw it.

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** The pixels of an image that are drawn without a question; each takes 4 bytes. */
export const MOST_PIXELS = 100_000_000;

/** The size that the head of a PNG, GIF, WebP or JPEG names; null if it is none of them. */
export function imageSize(bytes: Uint8Array<ArrayBuffer>): ImageSize | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  try {
    if (word(0) === "\x89PNG") return { width: view.getUint32(16), height: view.getUint32(20) };
    if (word(0) === "GIF8") return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (word(0) === "RIFF" && word(8) === "WEBP") return webp(view, word(12));
    return view.getUint16(0) === 0xffd8 ? jpeg(view) : null;
  } catch {
    return null; // it ends within its head
  }
}

function webp(view: DataView, kind: string): ImageSize | null {
  if (kind === "VP8X") {
    const part = (at: number) => (view.getUint16(at, true) | (view.getUint8(at + 2) << 16)) + 1;
    return { width: part(24), height: part(27) };
  }
  if (kind === "VP8 ") {
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

/** The size in the frame of a JPEG, which comes after other segments. */
function jpeg(view: DataView): ImageSize | null {
  for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
    const kind = view.getUint8(at + 1);
    const isFrame = kind >= 0xc0 && kind <= 0xcf && kind !== 0xc4 && kind !== 0xc8 && kind !== 0xcc;
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
  }
  return null;
}
