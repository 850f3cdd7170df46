import { signal } from "@preact/signals";
import { Dialog } from "../ui/Dialog";
import { KeyCaps } from "./KeyCaps";
import { characterKeys, GROUPS, isCharacter, type Key, keysNow, switchCharacterKeys } from "./keys";
import "./KeyHelp.css";

const shown = signal(false);

/** Shows the keys of what is seen now. */
export function showKeyHelp(): void {
  shown.value = true;
}

const DIALOGS = [
  { keys: "Tab", label: "next field" },
  { keys: "Enter", label: "press" },
  { keys: "Escape", label: "leave it" },
];

export function KeyHelp() {
  if (!shown.value) return null;
  const leave = () => {
    shown.value = false;
  };
  const groups = GROUPS.map((name) => ({
    name,
    keys: name === "Dialogs" ? DIALOGS : keysNow.value.filter((key: Key) => key.group === name),
  })).filter(({ keys }) => keys.length);
  return (
    <Dialog title="Keys" kind="key-help" onLeave={leave}>
      <div class="key-groups">
        {groups.map((group) => (
          <section key={group.name}>
            <h3>{group.name}</h3>
            <dl>
              {group.keys.map((key) => (
                <div key={key.keys} class={isOff(key.keys) ? "is-off" : undefined}>
                  <dt>{key.label}</dt>
                  <dd>
                    <KeyCaps keys={key.keys} />
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <footer class="key-help-foot">
        <label class="check">
          <input
            type="checkbox"
            checked={characterKeys.value}
            onChange={(event) => switchCharacterKeys(event.currentTarget.checked)}
          />
          Keys of a single character
        </label>
        <a href="/static/licences.md" target="_blank" rel="noreferrer">
          Licences of what this page is made of
        </a>
      </footer>
    </Dialog>
  );
}

function isOff(keys: string): boolean {
  return !characterKeys.value && keys.split(/[, ]/).every(isCharacter);
}
