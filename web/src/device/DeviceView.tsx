import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/client";
import { whoami } from "../api/whoami";
import { code as codeOfAddress } from "../app/fragment";
import { ErrorNote } from "../ui/ErrorNote";
import type { DeviceDocument } from "./device";
import { LoginCode } from "./LoginCode";
import "../app/SignIn.css";
import "./device.css";

/** Lets a command line act as the user, if its terminal shows the code that is shown here. */
export function DeviceView() {
  const [code, setCode] = useState(codeOfAddress);
  const [end, setEnd] = useState<string | null>(null);
  if (end !== null) return <Ended text={end} />;
  if (code === null) return <CodeForm onCode={setCode} />;
  return <Asked key={code} code={code} onEnd={setEnd} onOther={() => setCode(null)} />;
}

function Ended({ text }: { text: string }) {
  return (
    <section class="alone">
      <h1>{text}</h1>
      <p class="alone-second" role="status">
        {text} You can close this page.
      </p>
    </section>
  );
}

function CodeForm({ onCode }: { onCode: (code: string) => void }) {
  return (
    <section class="alone">
      <h1>Allow a login</h1>
      <p class="alone-second">
        Enter the code that <code>exp login</code> shows. Allow only what you have started yourself.
      </p>
      <form
        class="sign-in-form"
        onSubmit={(event) => {
          event.preventDefault();
          onCode(String(new FormData(event.currentTarget).get("code")).trim());
        }}
      >
        <label for="code">Code</label>
        <span class="sign-in-row">
          <input
            id="code"
            class="input device-input"
            name="code"
            autocomplete="off"
            autocapitalize="characters"
            spellcheck={false}
            maxLength={16}
            required
          />
          <button type="submit" class="button main">
            Continue
          </button>
        </span>
      </form>
    </section>
  );
}

interface AskedProps {
  readonly code: string;
  onEnd(text: string): void;
  onOther(): void;
}

/** Finds what the code belongs to; the code is not in the address, so nothing of it is kept. */
function Asked({ code, onEnd, onOther }: AskedProps) {
  const [login, setLogin] = useState<DeviceDocument | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const body = { user_code: code };
  useEffect(() => {
    const asked = { user_code: code };
    ask<DeviceDocument>("/v1/device/find", { method: "POST", body: asked }).then(setLogin, setProblem);
  }, [code]);
  const decide = (path: string, more: object, text: string) =>
    ask(path, { method: "POST", body: { ...body, ...more } }).then(() => onEnd(text), setProblem);
  return (
    <>
      {problem ? <ErrorNote what="This login cannot be decided." error={problem} retry={onOther} /> : null}
      {login && whoami.value ? (
        <LoginCode
          code={code}
          login={login}
          user={whoami.value}
          onAllow={(scopes) => decide("/v1/device/approve", { scopes }, "Allowed.")}
          onDeny={() => decide("/v1/device/deny", {}, "Denied.")}
        />
      ) : null}
    </>
  );
}
