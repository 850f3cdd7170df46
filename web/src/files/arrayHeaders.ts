// The shapes and types of NumPy's arrays, from the first bytes of `.npy` and the directory of `.npz`.

export interface ArrayHeader {
  readonly type: string;
  readonly shape: readonly number[];
}

const MAGIC = "\x93NUMPY";

/** The header of an `.npy`; null if the bytes do not begin with one. */
export function arrayHeader(bytes: Uint8Array): ArrayHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || latin(bytes.subarray(0, 6)) !== MAGIC) return null;
  const isLong = (bytes[6] ?? 1) > 1;
  const begin = isLong ? 12 : 10;
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
  const text = latin(bytes.subarray(begin, begin + length));
  const type = /'descr':\s*(?:'([^']*)'|(\[.*\]))/.exec(text);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text);
  if (!type || !shape) return null;
  const sizes = (shape[1] ?? "").split(",").filter((part) => part.trim());
  return { type: typeName(type[1] ?? type[2] ?? ""), shape: sizes.map(Number) };
}

const KINDS: Readonly<Record<string, string>> = { f: "float", i: "int", u: "uint", c: "complex" };

function typeName(descriptor: string): string {
  const plain = /^[<>|=]([a-zA-Z])(\d+)$/.exec(descriptor);
  if (!plain) return descriptor;
  const [, kind = "", size = ""] = plain;
  if (kind === "b") return "bool";
  const name = KINDS[kind];
  return name ? `${name}${Number(size) * 8}` : descriptor;
}

function latin(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  readonly packed: number;
  readonly isPacked: boolean;
  /** Where its local header is in the file. */
  readonly at: number;
}

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const WIDE = 0xffffffff;

/**
 * The entries of a zip file, by its last bytes; null if these have no whole directory.
 *
 * @param total the size of the file
 */
export function zipEntries(last: Uint8Array, total: number): ZipEntry[] | null {
  const view = new DataView(last.buffer, last.byteOffset, last.byteLength);
  let end = last.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end -= 1;
  if (end < 0) return null;
  const size = view.getUint32(end + 12, true);
  let at = end - size;
  const start = view.getUint32(end + 16, true);
  if (start !== WIDE) at = start - (total - last.length);
  if (at < 0 || start === WIDE) return null;
  const entries: ZipEntry[] = [];
  while (at + 46 <= end && view.getUint32(at, true) === ENTRY) {
    const named = view.getUint16(at + 28, true);
    const extra = view.getUint16(at + 30, true);
    const comment = view.getUint16(at + 32, true);
    let [packed, bytes] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
    if (bytes === WIDE && extra >= 20) {
      // NumPy writes entries with 64-bit sizes
      bytes = Number(view.getBigUint64(at + 46 + named + 4, true));
      packed = Number(view.getBigUint64(at + 46 + named + 12, true));
    }
    entries.push({
      name: new TextDecoder().decode(last.subarray(at + 46, at + 46 + named)),
      bytes,
      packed,
      isPacked: view.getUint16(at + 10, true) !== 0,
      at: view.getUint32(at + 42, true),
    });
    at += 46 + named + extra + comment;
  }
  return entries;
}

/** The first bytes of an entry, from those of the file at its local header. */
export async function entryBytes(entry: ZipEntry, local: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const view = new DataView(local.buffer, local.byteOffset, local.byteLength);
  const begin = 30 + view.getUint16(26, true) + view.getUint16(28, true);
  const packed = local.subarray(begin);
  return entry.isPacked ? inflated(packed) : packed;
}

async function inflated(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const parts: number[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      parts.push(...value.subarray(0, 4096));
      if (parts.length >= 4096) break;
    }
  } catch {
    // the packed bytes end before the entry does
  }
  reader.cancel().catch(() => {});
  return Uint8Array.from(parts);
}
