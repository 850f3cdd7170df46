import { type ExperimentAddress, experimentDocument, experimentName } from "../api/addresses";
import type { SearchDocument } from "../api/documents/search";
import { useDocument } from "../api/useDocument";
import { ErrorNote } from "../ui/ErrorNote";
import { StudyFigures } from "./StudyFigures";

export interface SearchPartProps {
  readonly experiment: ExperimentAddress;
  readonly search: string;
  readonly lifted: string | null;
  onLift(task: string | null): void;
}

/** The figures of one search of an experiment, live but for the importances, which take the server a second. */
export function SearchPart({ experiment, search, lifted, onLift }: SearchPartProps) {
  const { document, error, reload } = useDocument<SearchDocument>(experimentDocument(experiment, "search"), [
    `experiment:${experimentName(experiment)}`,
  ]);
  const computed = useDocument<SearchDocument>(`${experimentDocument(experiment, "search")}?importances=1`);
  const study = document?.searches.find((each) => each.id === search);
  const known = computed.document?.searches.find((each) => each.id === search);
  if (error && !study) return <ErrorNote error={error} retry={reload} />;
  if (!study) return null;
  const importances = known?.importances ?? null;
  const importances_message = known ? known.importances_message : "the server computes them";
  return (
    <StudyFigures study={{ ...study, importances, importances_message }} lifted={lifted} onLift={onLift} />
  );
}
