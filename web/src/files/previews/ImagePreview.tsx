import { useEffect, useState } from "preact/hooks";
import { ErrorNote } from "../../ui/ErrorNote";
import { bytes } from "../../ui/format";
import { MOST_IMAGE } from "../savedFiles";
import { useContent } from "../useContent";
import type { PreviewProps } from "./Preview";

/** An image, drawn from its bytes. */
export function ImagePreview({ record, file, onSize }: PreviewProps & { onSize?(size: string): void }) {
  const isLarge = file.bytes > MOST_IMAGE;
  const { content, checksum, error } = useContent(record, isLarge ? null : file.checksum);
  const [source, setSource] = useState<string | null>(null);
  const [problem, setProblem] = useState(false);
  const type = file.type.split(";", 1)[0] ?? "";
  useEffect(() => {
    if (!content) return;
    const made = URL.createObjectURL(new Blob([content.bytes], { type }));
    setSource(made);
    setProblem(false);
    return () => URL.revokeObjectURL(made);
  }, [content, type]);
  if (isLarge) {
    return (
      <p class="panel-note">
        It has {bytes(file.bytes)}; images up to {bytes(MOST_IMAGE)} are shown here.
      </p>
    );
  }
  if (error && checksum === file.checksum) return <ErrorNote error={error} />;
  if (!source) return <p class="panel-note">Loading {bytes(file.bytes)}…</p>;
  if (problem) return <p class="panel-note">This is no image that a browser can draw.</p>;
  return (
    <img
      class="image-preview"
      src={source}
      alt={`${file.name}, version ${file.version}`}
      onError={() => setProblem(true)}
      onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) =>
        onSize?.(`${naturalWidth} × ${naturalHeight}`)
      }
    />
  );
}
