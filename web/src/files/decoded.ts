// The texts of files: UTF-8, and UTF-16 if its mark is there.

/** The text of bytes; what is no text of its encoding is `�`. A character that the end cuts is left out. */
export function decoded(bytes: Uint8Array, isCut = false): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes, { stream: isCut });
}
