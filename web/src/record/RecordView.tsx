import { route } from "../app/route";
import { RecordPage } from "./RecordPage";

/** One record, whose prefix is in the path. */
export function RecordView() {
  const [, ...prefix] = route.value.path;
  const root = route.value.query.get("root");
  return <RecordPage record={{ prefix: prefix.join("/"), ...(root ? { root } : {}) }} />;
}
