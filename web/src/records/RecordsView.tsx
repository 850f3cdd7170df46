import { route } from "../app/route";
import { RecordPage } from "../record/RecordPage";
import { Records } from "./Records";

/** The list of records, or one record if the path names its prefix. */
export function RecordsView() {
  const [, ...prefix] = route.value.path;
  return prefix.length ? <RecordPage record={addressOf(prefix)} /> : <Records />;
}

function addressOf(prefix: readonly string[]) {
  const root = route.value.query.get("root");
  return { prefix: prefix.join("/"), ...(root ? { root } : {}) };
}
