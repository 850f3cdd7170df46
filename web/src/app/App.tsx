import { useEffect } from "preact/hooks";
import { session } from "../api/client";
import { ErrorNote } from "../ui/ErrorNote";
import { Part } from "../ui/Part";
import { followKeys } from "./keys";
import { followLinks, route } from "./route";
import { SignIn } from "./SignIn";
import { TopBar } from "./TopBar";
import { FIRST_VIEW, VIEWS } from "./views";

export function App() {
  useEffect(followLinks, []);
  useEffect(followKeys, []);
  return (
    <>
      <TopBar />
      <main>{session.value ? <View /> : <SignIn />}</main>
    </>
  );
}

function View() {
  const [name, ...rest] = route.value.path;
  if (!name || (name === "experiments" && !rest.length)) return <FIRST_VIEW />;
  const load = Object.hasOwn(VIEWS, name) ? VIEWS[name] : undefined;
  return load ? <Part load={load} /> : <ErrorNote error={new Error(`There is no view “${name}”.`)} />;
}
