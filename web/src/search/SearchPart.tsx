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

/** The figures of one search of an experiment, as it goes on. */
export function SearchPart({ experiment, search, lifted, onLift }: SearchPartProps) {
  const { document, error, reload } = useDocument<SearchDocument>(experimentDocument(experiment, "search"), [
    `experiment:${experimentName(experiment)}`,
  ]);
  const study = document?.searches.find((each) => each.id === search);
  if (error && !study) return <ErrorNote error={error} retry={reload} />;
  return study ? <StudyFigures study={study} lifted={lifted} onLift={onLift} /> : null;
}
