import { experimentDocument } from "../api/addresses";
import type { GraphDocument } from "../api/documents/graph";
import { useDocument } from "../api/useDocument";
import { navigate, route, withQuery } from "../app/route";
import { Graph } from "../graph/Graph";
import { LogViewer } from "../log/LogViewer";
import type { TabProps } from "./tabs";

/** The graph, the table of tasks, and the panel of the picked one. */
export function TasksTab({ experiment, status }: TabProps) {
  const graph = useDocument<GraphDocument>(experimentDocument(experiment, "graph")).document;
  const picked = route.value.query.get("task");
  const pick = (task: string) => navigate(withQuery({ task, attempt: null }));
  return (
    <>
      {graph ? <Graph graph={graph} tasks={status.tasks} picked={picked} onPick={pick} /> : null}
      <ul>
        {status.tasks.map((task) => (
          <li key={task.id}>
            <a href={withQuery({ task: task.id })}>{task.id}</a> {task.status}
          </li>
        ))}
      </ul>
      {picked ? <LogViewer experiment={experiment} task={picked} attempt={null} /> : null}
    </>
  );
}
