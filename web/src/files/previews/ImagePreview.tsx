import { useEffect, useMemo, useState } from "preact/hooks";
import { bytes, count } from "../../ui/format";
import { imageSize, MOST_PIXELS } from "../imageSizes";
import { MOST_IMAGE } from "../savedFiles";
import { useContent } from "../useContent";
import { ContentProblem } from "./NotHere";
import type { PreviewProps } from "./Preview";

/** An image, drawn from its bytes. */
export function ImagePreview({ record, file, onSize }: PreviewProps & { onSize?(size: string): void }) {
  const isLarge = file.bytes > MOST_IMAGE;
  const { content, checksum, error } = useContent(record, isLarge ? null : file.checksum);
  const [source, setSource] = useState<string | null>(null);
  const [problem, setProblem] = useState(false);
  const [width, setWidth] = useState<number | null>(null);
  const [isWanted, setWanted] = useState(false);
  const size = useMemo(() => (content ? imageSize(content.bytes) : null), [content]);
  const isHuge = size !== null && size.width * size.height > MOST_PIXELS && !isWanted;
  const type = file.type.split(";", 1)[0] ?? "";
  useEffect(() => {
    if (!content || isHuge) return;
    const made = URL.createObjectURL(new Blob([content.bytes], { type }));
    setSource(made);
    setProblem(false);
    return () => URL.revokeObjectURL(made);
  }, [content, type, isHuge]);
  if (isLarge) {
    return (
      <p class="data-panel-note">
        It has {bytes(file.bytes)}; images up to {bytes(MOST_IMAGE)} are shown here.
      </p>
    );
  }
  if (error && checksum === file.checksum) return <ContentProblem file={file} error={error} />;
  if (isHuge) {
    return (
      <p class="data-panel-note">
        It has {count(size.width)} × {count(size.height)} pixels, for which a browser may need{" "}
        {bytes(size.width * size.height * 4)} of memory.{" "}
        <button type="button" class="button small" onClick={() => setWanted(true)}>
          Draw it
        </button>
      </p>
    );
  }
  if (!source) return <p class="data-panel-note">Loading {bytes(file.bytes)}…</p>;
  if (problem) return <p class="data-panel-note">This is no image that a browser can draw.</p>;
  return (
    <img
      class="image-preview"
      src={source}
      alt={`${file.name}, version ${file.version}`}
      onError={() => setProblem(true)}
      style={width ? { width: `${width}px`, imageRendering: "pixelated" } : {}}
      onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
        setWidth(enlarged(naturalWidth, naturalHeight));
        onSize?.(`${naturalWidth} × ${naturalHeight}`);
      }}
    />
  );
}

const SMALL = 160;
const LARGE = 320;

/** The width at which a small image is drawn, so that its pixels can be seen; null for its own. */
function enlarged(width: number, height: number): number | null {
  const size = Math.max(width, height);
  return size > 0 && size <= SMALL ? width * Math.floor(LARGE / size) : null;
}
