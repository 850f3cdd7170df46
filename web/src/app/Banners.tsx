import { useEffect, useState } from "preact/hooks";
import { session, sessionOver } from "../api/client";
import { whoami } from "../api/whoami";
import { caughtUp, liveState, tryNow } from "../live/live";
import { now } from "../ui/clock";
import { clockText, count } from "../ui/format";
import { Icon } from "../ui/Icon";
import { SessionDialog } from "./SessionDialog";
import { keepSession, offered, replaceSession, signInNote } from "./signIn";
import { isOutdated } from "./version";
import "./Banners.css";

const PATIENCE = 1_500; // milliseconds: a server that is back by then was hardly away

/** What the page knows about itself: not live, session over, another version. One at a time. */
export function Banners() {
  if (offered.value) return <OtherUser {...offered.value} />;
  if (session.value === null && sessionOver.value !== null && whoami.value) {
    return <SessionOver since={sessionOver.value} />;
  }
  if (isOutdated.value) return <Outdated />;
  if (liveState.value.state === "stale" && session.value !== null) return <Stale />;
  if (caughtUp.value !== null) return <Back events={caughtUp.value} />;
  if (session.value !== null && signInNote.value) return <Note text={signInNote.value} />;
  return null;
}

function clockTime(time: number): string {
  return clockText(new Date(time));
}

function Stale() {
  const { heard, retry } = liveState.value;
  const [isShown, setShown] = useState(Date.now() - heard > PATIENCE);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), PATIENCE);
    return () => clearTimeout(timer);
  }, []);
  if (!isShown) return null;
  return (
    <div class="banner warns">
      <Icon name="clock" />
      <div class="banner-text">
        <span role="status">
          <b>Not live.</b> The server does not answer; what you see is of {clockTime(heard)}
        </span>
        <Waiting heard={heard} retry={retry} />
      </div>
      <button type="button" class="button small" onClick={tryNow}>
        Try now
      </button>
    </div>
  );
}

/** The seconds, which no screen reader reads out each time. */
function Waiting({ heard, retry }: { heard: number; retry: number | null }) {
  const ago = Math.max(0, Math.round((now.value - heard) / 1000));
  const wait = retry === null ? 0 : Math.ceil((retry - now.value) / 1000);
  return (
    <span class="banner-waiting">
      , {ago} s ago. {wait > 0 ? `Retrying in ${wait} s.` : "Retrying now."}
    </span>
  );
}

function Back({ events }: { events: number }) {
  const caught = events === 1 ? "1 event caught up" : `${count(events)} events caught up`;
  return (
    <div class="banner">
      <p role="status">Live again; {events ? caught : "nothing changed meanwhile"}.</p>
    </div>
  );
}

function SessionOver({ since }: { since: number }) {
  const [isAsked, setAsked] = useState(false);
  return (
    <div class="banner warns">
      <Icon name="clock" />
      <p role="alert">
        <b>Your session is over</b> since {clockTime(since).slice(0, 5)}. What you see stays.
      </p>
      <button type="button" class="button small" onClick={() => setAsked(true)}>
        Log in
      </button>
      {isAsked ? <SessionDialog onLeave={() => setAsked(false)} /> : null}
    </div>
  );
}

function OtherUser({ present, coming }: { present: string; coming: string }) {
  return (
    <div class="banner warns">
      <p role="alert">
        You are signed in as {present}. This address signs in as {coming}.
      </p>
      <button type="button" class="button small" onClick={replaceSession}>
        Sign in as {coming} instead
      </button>
      <button type="button" class="button small" onClick={keepSession}>
        Stay {present}
      </button>
    </div>
  );
}

function Outdated() {
  return (
    <div class="banner warns">
      <p role="status">The server has a new version of this page.</p>
      <button type="button" class="button small" onClick={() => location.reload()}>
        Reload
      </button>
    </div>
  );
}

function Note({ text }: { text: string }) {
  return (
    <div class="banner">
      <p role="status">{text}</p>
      <button
        type="button"
        class="button small"
        onClick={() => {
          signInNote.value = null;
        }}
      >
        Close
      </button>
    </div>
  );
}
