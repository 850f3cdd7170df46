import { CopyButton } from "./CopyButton";
import "./CommandHint.css";

/** A command that shows or does the same in a terminal. */
export function CommandHint({ command }: { command: string }) {
  return (
    <span class="command-hint" title="the same on the command line">
      <code>{command}</code>
      <CopyButton text={command} label="Copy this command" />
    </span>
  );
}
