import { useRef } from "preact/hooks";
import { whoami } from "../api/whoami";
import { Icon } from "../ui/Icon";
import { showKeyHelp } from "./KeyHelp";
import { PLACES } from "./places";
import { route } from "./route";
import { signOut } from "./signIn";
import { setTheme, THEMES, theme } from "./theme";
import "./UserMenu.css";

const MEANINGS = {
  read: "see experiments and records",
  write: "send records",
  control: "cancel, resume, rerun, tag and note",
} as const;

/** The user, what their token allows, and the way out; on a narrow screen also what the top bar has no room for. */
export function UserMenu() {
  const menu = useRef<HTMLDivElement>(null);
  const user = whoami.value;
  const leave = () => menu.current?.hidePopover();
  return (
    <>
      <button type="button" class="user-button" popovertarget="user-menu" aria-label={menuName(user?.user)}>
        <bdi class="user-name">{user?.user ?? "…"}</bdi>
        <Icon name="menu" />
      </button>
      <div ref={menu} id="user-menu" class="user-menu" popover="auto">
        <nav class="menu-narrow" aria-label="Places">
          {PLACES.map((place) => (
            <a
              key={place.first}
              href={place.href}
              aria-current={place.first === (route.value.path[0] ?? "experiments") ? "page" : undefined}
              onClick={leave}
            >
              {place.name}
            </a>
          ))}
        </nav>
        {user ? (
          <section>
            <p class="menu-user">
              <bdi>{user.user}</bdi>
            </p>
            <dl class="menu-scopes">
              {(["read", "write", "control"] as const).map((scope) => (
                <div key={scope} class={user.scopes.includes(scope) ? undefined : "is-missing"}>
                  <dt>{scope}</dt>
                  <dd>{MEANINGS[scope]}</dd>
                </div>
              ))}
            </dl>
            {user.controls ? null : <p class="user-menu-note">{whyNoControl(user.scopes)}</p>}
          </section>
        ) : null}
        <fieldset class="theme-choice">
          <legend>Theme</legend>
          {THEMES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="theme"
                value={name}
                checked={theme.value === name}
                onChange={() => setTheme(name)}
              />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        <div class="menu-buttons">
          <button
            type="button"
            class="button"
            onClick={() => {
              leave();
              showKeyHelp();
            }}
          >
            Keys
          </button>
          <button
            type="button"
            class="button"
            onClick={() => {
              leave();
              signOut();
            }}
          >
            Sign out
          </button>
        </div>
      </div>
    </>
  );
}

function menuName(user: string | undefined): string {
  return user ? `Menu of ${user}` : "Menu";
}

/** Why there are no buttons that act. */
function whyNoControl(scopes: readonly string[]): string {
  return scopes.includes("control")
    ? "Cancel, resume and rerun are not there: this server does not allow actions (exp serve --control)."
    : "Cancel needs the scope control, which your token does not have.";
}
