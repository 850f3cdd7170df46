import { session, sessionOver } from "../api/client";
import { whoami } from "../api/whoami";
import { Icon } from "../ui/Icon";
import { showKeyHelp } from "./KeyHelp";
import { useKeys } from "./keys";
import { LiveMark } from "./LiveMark";
import { PLACES } from "./places";
import { navigate, route } from "./route";
import { SearchField } from "./SearchField";
import { switchTheme } from "./theme";
import { UserMenu } from "./UserMenu";
import "./TopBar.css";

/** The bar above all views: the places, search, whether it is live, help, the theme and the user. */
export function TopBar() {
  useKeys([
    { keys: "?", label: "this help", group: "Anywhere", run: showKeyHelp },
    { keys: "g t", label: "light, dark", group: "Anywhere", run: switchTheme },
  ]);
  const isKnown = session.value !== null || (sessionOver.value !== null && whoami.value !== null);
  return (
    <header class="top-bar">
      <a class="top-bar-name" href="/">
        exp
      </a>
      {isKnown ? <Places /> : null}
      {isKnown ? <SearchField /> : null}
      <div class="top-bar-end">
        {isKnown ? <LiveMark /> : null}
        <button
          type="button"
          class="icon-button top-bar-wide"
          aria-label="Keys"
          title="Keys (?)"
          onClick={showKeyHelp}
        >
          <Icon name="help" />
        </button>
        <button
          type="button"
          class={isKnown ? "icon-button top-bar-wide" : "icon-button"}
          aria-label="Light or dark"
          title="Light or dark (g t)"
          onClick={switchTheme}
        >
          <Icon name="theme" />
        </button>
        {session.value !== null ? <UserMenu /> : null}
      </div>
    </header>
  );
}

function Places() {
  const first = route.value.path[0] ?? "experiments";
  useKeys([
    { keys: "g e", label: "go to experiments", group: "Anywhere", run: () => navigate("/") },
    { keys: "g r", label: "go to records", group: "Anywhere", run: () => navigate("/records") },
    { keys: "g c", label: "go to compare", group: "Anywhere", run: () => navigate("/compare") },
  ]);
  return (
    <nav class="top-bar-places" aria-label="Places">
      {PLACES.map((place) => (
        <a key={place.first} href={place.href} aria-current={place.first === first ? "page" : undefined}>
          {place.name}
        </a>
      ))}
    </nav>
  );
}
