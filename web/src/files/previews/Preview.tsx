import type { RecordAddress } from "../../api/addresses";
import { decoded } from "../decoded";
import { MOST_TEXT, previewKind, type SavedFile } from "../savedFiles";
import { useContent } from "../useContent";
import { ArrayPreview } from "./ArrayPreview";
import { ImagePreview } from "./ImagePreview";
import { JsonPreview } from "./JsonPreview";
import { ContentProblem, NotHere } from "./NotHere";
import { TablePreview } from "./TablePreview";
import { TextPreview } from "./TextPreview";
import "./Preview.css";

export interface PreviewProps {
  readonly record: RecordAddress;
  readonly file: SavedFile;
}

export interface TextProps {
  readonly file: SavedFile;
  readonly text: string;
  /** Whether the text is only the beginning of the content. */
  readonly isCut: boolean;
  /** The bytes of the content. */
  readonly total: number;
}

/** The content of a version of a file, shown as what it is. */
export function Preview({ onSize, ...props }: PreviewProps & { onSize?(size: string): void }) {
  const { file } = props;
  if (file.here === false) return <NotHere file={file} />;
  switch (previewKind(file)) {
    case "image":
      return <ImagePreview {...props} {...(onSize ? { onSize } : {})} />;
    case "array":
      return <ArrayPreview {...props} />;
    case "video":
      return <p class="data-panel-note">Videos are not played here. Download it to see it.</p>;
    case "none":
      return <p class="data-panel-note">Files of this type are not shown. Download it to open it.</p>;
    default:
      return <TextContent {...props} />;
  }
}

function TextContent({ record, file }: PreviewProps) {
  const { content, checksum, error } = useContent(record, file.checksum, { first: 0, end: MOST_TEXT });
  if (error && checksum === file.checksum) {
    return <ContentProblem file={file} error={error} />;
  }
  if (!content) return <p class="data-panel-note">Loading…</p>;
  const isCut = content.total > content.bytes.length;
  const text = decoded(content.bytes, isCut);
  const props = { file, text, isCut, total: content.total };
  switch (previewKind(file)) {
    case "json":
      return <JsonPreview {...props} />;
    case "table":
      return <TablePreview {...props} />;
    default:
      return <TextPreview {...props} />;
  }
}
