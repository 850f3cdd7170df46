import { CopyButton } from "../ui/CopyButton";
import "./Empty.css";

/** Commands to type one after the other. */
export function Commands({ commands }: { commands: readonly string[] }) {
  return (
    <ul class="empty-commands">
      {commands.map((one) => (
        <li key={one}>
          <span aria-hidden="true">$</span>
          <code>{one}</code>
          <CopyButton text={one} label={`Copy ${one}`} />
        </li>
      ))}
    </ul>
  );
}
