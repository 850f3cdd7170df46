import { useState } from "preact/hooks";
import type { WhoamiDocument } from "../api/documents/whoami";
import { now } from "../ui/clock";
import { duration } from "../ui/format";
import { type DeviceDocument, type Scope, written } from "./device";

export interface LoginProps {
  readonly code: string;
  readonly login: DeviceDocument;
  readonly user: WhoamiDocument;
  onAllow(scopes: readonly Scope[]): Promise<unknown>;
  onDeny(): Promise<unknown>;
}

/** Asks whether to let a command line in. Neither button is the default: Enter must not allow. */
export function LoginCode({ code, login, user, onAllow, onDeny }: LoginProps) {
  const [isActing, setActing] = useState(false);
  const [mayControl, setControl] = useState(false);
  const scopes: readonly Scope[] = mayControl ? [...login.scopes, "control"] : login.scopes;
  const act = (action: () => Promise<unknown>) => {
    setActing(true);
    action().finally(() => setActing(false));
  };
  return (
    <section class="alone">
      <h1>
        Let a command line in as <bdi>{user.user}</bdi>?
      </h1>
      <p class="alone-second">
        Allow it only if your terminal shows this code, and you typed <code>exp login</code> just now.
      </p>
      <p class="login-code">{written(code)}</p>
      <dl class="login-facts">
        <dt>Asked by</dt>
        <dd>
          <bdi class="mono">{login.name}</bdi>, from <bdi class="mono">{login.address}</bdi>
        </dd>
        <dt>At</dt>
        <dd>
          <Since login={login} />
        </dd>
        <dt>May</dt>
        <dd>
          <Rights scopes={scopes} prefixes={user.prefixes} />
        </dd>
        {user.scopes.includes("control") ? (
          <>
            <dt>{mayControl ? "" : "May not"}</dt>
            <dd>
              <label class="check">
                <input
                  type="checkbox"
                  checked={mayControl}
                  onChange={(event) => setControl(event.currentTarget.checked)}
                />
                cancel, resume, rerun, tag and note
              </label>
            </dd>
          </>
        ) : null}
        <dt>Until</dt>
        <dd>
          {user.expires === null
            ? "you take it back"
            : new Date(user.expires).toLocaleDateString("en-GB", LONG)}
        </dd>
      </dl>
      <p class="login-buttons">
        <button
          type="button"
          class="button main"
          disabled={isActing}
          onClick={() => act(() => onAllow(scopes))}
        >
          Allow
        </button>
        <button type="button" class="button" disabled={isActing} onClick={() => act(onDeny)}>
          Deny
        </button>
      </p>
      <p class="alone-third">
        You can take it back at any time: <code>exp logout</code> there, or{" "}
        <code>exp serve token revoke</code> on the server.
      </p>
    </section>
  );
}

const LONG = { day: "numeric", month: "long", year: "numeric" } as const;

function Rights({ scopes, prefixes }: { scopes: readonly Scope[]; prefixes: readonly string[] }) {
  return (
    <>
      {scopes.includes("read") ? "read all that you may read" : null}
      {scopes.includes("write") ? (
        <>
          {scopes.includes("read") ? "; " : null}
          write to{" "}
          {prefixes.map((prefix, index) => (
            <span key={prefix}>
              {index ? ", " : null}
              <bdi class="mono">{prefix}</bdi>
            </span>
          ))}
        </>
      ) : null}
    </>
  );
}

/** When it asked, and how long its code lasts. */
function Since({ login }: { login: DeviceDocument }) {
  const [shown] = useState(Date.now());
  const passed = Math.max(0, now.value - shown) / 1000;
  const left = login.left - passed;
  const at = new Date(shown - login.age * 1000).toLocaleTimeString("sv-SE");
  return (
    <>
      {at}, {duration(login.age + passed)} ago;{" "}
      {left > 0 ? `the code ends in ${duration(left)}` : "the code has ended"}
    </>
  );
}
