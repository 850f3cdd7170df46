// Whether the server has another version of the page than the one that is shown.
import { effect, signal } from "@preact/signals";
import { send } from "../api/client";
import { liveState } from "../live/live";

const outdated = signal(false);

/** Whether parts of this page are not on the server any more. */
export const isOutdated = outdated;

const own = document.querySelector<HTMLScriptElement>('script[type="module"][src]')?.getAttribute("src");

/** Asks the server for the page, and compares which script it names. */
export async function checkVersion(): Promise<boolean> {
  if (own) {
    try {
      const page = await send("/", { token: null, headers: { Accept: "text/html" } });
      outdated.value = !(await page.text()).includes(`"${own}"`);
    } catch {
      // The server does not answer: what is shown says that.
    }
  }
  return outdated.peek();
}

// A server that was away may have come back as another version.
let wasAway = false;
effect(() => {
  const { state } = liveState.value;
  if (state === "stale") wasAway = true;
  else if (state === "live" && wasAway) {
    wasAway = false;
    checkVersion();
  }
});
