// Saved files as documents name them, their contents on the server, and how each is shown.
import { type RecordAddress, recordDocument } from "../api/addresses";
import { ask, RequestError, send } from "../api/client";
import type { FilesDocument } from "../api/documents/files";
import type { LinkDocument } from "../api/documents/link";

export type SavedFile = FilesDocument["files"][number];

export type PreviewKind = "image" | "table" | "json" | "text" | "array" | "video" | "none";

/** The bytes of a text that a preview loads. */
export const MOST_TEXT = 1_000_000;
/** The bytes of an image that a preview loads. */
export const MOST_IMAGE = 20_000_000;

const IMAGES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);
const TEXT_TYPES =
  /^(text\/|application\/(yaml|x-yaml|xml|toml|javascript|x-sh|x-ndjson|jsonl)|image\/svg)|\+xml$/;
const TEXT_NAMES =
  /(^|\/)(dockerfile|makefile|license|readme)$|\.(txt|log|md|rst|ya?ml|toml|ini|cfg|conf|jsonl|ndjson|py|sh|js|ts|c|cc|cpp|h|rs|go|java|r|tex|xml|html?|svg|diff|patch|sql|env)$/i;

/** How the content of a file is shown. What could run, such as SVG and HTML, is text. */
export function previewKind(file: Pick<SavedFile, "name" | "type">): PreviewKind {
  const type = file.type.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (IMAGES.has(type)) return "image";
  if (type === "video/mp4") return "video";
  if (type === "application/json" || /\.json$/i.test(file.name)) return "json";
  if (type === "text/csv" || type === "text/tab-separated-values" || /\.[ct]sv$/i.test(file.name))
    return "table";
  if (/\.np[yz]$/i.test(file.name)) return "array";
  if (TEXT_TYPES.test(type) || TEXT_NAMES.test(file.name)) return "text";
  return "none";
}

/** The record of a file. */
export function recordOf(file: SavedFile, root?: string): RecordAddress {
  const named = file.root ?? root;
  return named ? { prefix: file.prefix, root: named } : { prefix: file.prefix };
}

export interface ByteRange {
  readonly first: number;
  /** Where it ends, exclusive; null for the end of the file. */
  readonly end: number | null;
}

export interface Content {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The size of the whole content. */
  readonly total: number;
}

const MOST_KEPT = 96_000_000;
const kept = new Map<string, Promise<Content>>();
const sizes = new Map<string, number>();

function contentPath(record: RecordAddress, checksum: string, rest = ""): string {
  const [path, query] = recordDocument(record, "contents").split("?", 2);
  return `${path}/${checksum}${rest}${query ? `?${query}` : ""}`;
}

/** The bytes of a content, or of a range of it. What was read last is kept, since a content never changes. */
export function contentOf(record: RecordAddress, checksum: string, range?: ByteRange): Promise<Content> {
  const path = contentPath(record, checksum);
  const asked = range ? `bytes=${range.first}-${range.end === null ? "" : range.end - 1}` : "";
  const key = `${path} ${asked}`;
  const known = kept.get(key);
  if (known) {
    kept.delete(key);
    kept.set(key, known);
    return known;
  }
  const loading = load(path, asked);
  kept.set(key, loading);
  loading.then(
    (content) => {
      sizes.set(key, content.bytes.length);
      forgetOldest();
    },
    () => kept.delete(key),
  );
  return loading;
}

async function load(path: string, range: string): Promise<Content> {
  let answer: Response;
  try {
    answer = await send(path, range ? { headers: { Range: range } } : {});
  } catch (error) {
    // an empty content has no range
    if (error instanceof RequestError && error.status === 416) return { bytes: new Uint8Array(), total: 0 };
    throw error;
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const total = Number(answer.headers.get("Content-Range")?.split("/")[1] ?? bytes.length);
  return { bytes, total };
}

function forgetOldest(): void {
  let total = 0;
  for (const size of sizes.values()) total += size;
  for (const key of kept.keys()) {
    if (total <= MOST_KEPT) return;
    total -= sizes.get(key) ?? 0;
    sizes.delete(key);
    kept.delete(key);
  }
}

/** Saves a content as a file of the user, by a link that needs no token. */
export async function download(record: RecordAddress, file: SavedFile): Promise<void> {
  const { href } = await ask<LinkDocument>(contentPath(record, file.checksum, "/link"), { method: "POST" });
  const link = document.createElement("a");
  link.href = record.root ? `${href}&${new URLSearchParams({ root: record.root })}` : href;
  link.download = file.name.split("/").at(-1) ?? "";
  document.body.append(link);
  link.click();
  link.remove();
}
