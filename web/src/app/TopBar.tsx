import { route } from "./route";
import "./TopBar.css";

const PLACES = [
  { name: "Experiments", href: "/", first: "experiments" },
  { name: "Records", href: "/records", first: "records" },
  { name: "Compare", href: "/compare", first: "compare" },
] as const;

export function TopBar() {
  const first = route.value.path[0] ?? "experiments";
  return (
    <header class="top-bar">
      <a class="top-bar-name" href="/">
        exp
      </a>
      <nav>
        {PLACES.map((place) => (
          <a key={place.first} href={place.href} aria-current={place.first === first ? "page" : undefined}>
            {place.name}
          </a>
        ))}
      </nav>
    </header>
  );
}
