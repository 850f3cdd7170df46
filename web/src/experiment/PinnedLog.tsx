import type { ExperimentAddress } from "../api/addresses";
import type { StatusDocument } from "../api/documents/status";
import { withQuery } from "../app/route";
import { LogViewer } from "../log/LogViewer";
import { StatusMark } from "../ui/StatusMark";
import { CloseIcon } from "./CloseIcon";
import { type Pinned, taskHref } from "./pick";
import { TaskDuration } from "./TaskTable";

interface PinnedProps {
  readonly experiment: ExperimentAddress;
  readonly status: StatusDocument;
  readonly isDriven: boolean;
  readonly pin: Pinned;
}

/** A log that stays in sight while another task is picked. */
export function PinnedLog({ experiment, status, isDriven, pin }: PinnedProps) {
  const task = status.tasks.find((each) => each.id === pin.task);
  if (!task) return null;
  return (
    <section class="pinned-log" aria-label={`Pinned: ${task.id}`}>
      <header class="task-panel-head">
        <StatusMark status={task.status} />
        <h2 class="task-panel-name" title={task.id}>
          <a href={taskHref(task.id)}>{task.id}</a>
        </h2>
        <p class="task-panel-facts">
          {pin.attempt === null ? null : <span>attempt {pin.attempt}</span>}
          <span>
            {task.status === "RUNNING" ? "for " : ""}
            <TaskDuration task={task} isDriven={isDriven} />
          </span>
        </p>
        <a
          class="icon-button task-panel-close"
          href={withQuery({ pin: null, pin_attempt: null })}
          title="Unpin"
        >
          <CloseIcon />
          <span class="visually-hidden">Unpin</span>
        </a>
      </header>
      <div class="task-panel-log">
        <LogViewer
          key={`${pin.task} ${pin.attempt}`}
          experiment={experiment}
          task={pin.task}
          attempt={pin.attempt}
          name="pin_"
        />
      </div>
    </section>
  );
}
