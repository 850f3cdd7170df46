import { useEffect, useRef } from "preact/hooks";
import { session, sessionOver } from "../api/client";
import { whoami } from "../api/whoami";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { Banners } from "./Banners";
import { KeyHelp } from "./KeyHelp";
import { followKeys, useKeys } from "./keys";
import { followLinks, route } from "./route";
import { SignIn } from "./SignIn";
import { TopBar } from "./TopBar";
import { useUsualTitle } from "./title";
import { LISTS, VIEWS } from "./views";
import "./App.css";

/** The frame: the bar, what the page says about itself, and the view that the address names. */
export function App() {
  const frame = useRef<HTMLDivElement>(null);
  const main = useRef<HTMLElement>(null);
  useEffect(followLinks, []);
  useEffect(followKeys, []);
  useEffect(() => followHeight(frame.current), []);
  useFocusOfView(main.current);
  useUsualTitle();
  useKeys([
    { keys: "c", label: "copy as a command", group: "Anywhere", run: copyCommand },
    { keys: "Escape", label: "close, leave a field", group: "Anywhere", run: leaveField },
  ]);
  const isKnown = session.value !== null || (sessionOver.value !== null && whoami.value !== null);
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it is one, without a place in the address */}
      <a
        class="skip-link"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <div ref={frame} class="frame">
        <TopBar />
        <Banners />
      </div>
      <main ref={main} id="main" tabIndex={-1}>
        {isKnown ? <View /> : <SignIn />}
      </main>
      <KeyHelp />
    </>
  );
}

function View() {
  const [name = "experiments", ...rest] = route.value.path;
  const List = !rest.length && Object.hasOwn(LISTS, name) ? LISTS[name] : undefined;
  if (List) return <List />;
  const load = Object.hasOwn(VIEWS, name) ? VIEWS[name] : undefined;
  return load ? <Part load={load} /> : <ErrorNote error={new Error(`There is no view “${name}”.`)} />;
}

/** Moves the focus, and the window to its top, when another view is shown: as a browser does with a page. */
function useFocusOfView(main: HTMLElement | null): void {
  const path = route.value.path.join("/");
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    main?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path]);
}

/** Copies the first command of the view, which is that of the whole view. */
function copyCommand(): boolean {
  const button = document.querySelector<HTMLElement>("main .command-hint .icon-button");
  button?.click();
  return button !== null;
}

function leaveField(): boolean {
  const { activeElement } = document;
  if (!(activeElement instanceof HTMLInputElement || activeElement instanceof HTMLTextAreaElement))
    return false;
  activeElement.blur();
  return true;
}

/** Keeps `--top`, below which what stays at the top of a view stands, and dialogs begin. */
function followHeight(frame: HTMLElement | null): (() => void) | undefined {
  if (!frame) return undefined;
  const observer = new ResizeObserver(() => {
    document.documentElement.style.setProperty("--top", `${frame.offsetHeight}px`);
  });
  observer.observe(frame);
  return () => observer.disconnect();
}
