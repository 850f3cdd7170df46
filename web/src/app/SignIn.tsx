import { useEffect, useState } from "preact/hooks";
import { ask, session } from "../api/client";
import { ErrorNote } from "../ui/ErrorNote";

export function SignIn() {
  const [problem, setProblem] = useState<unknown>(null);
  const open = (body: object, token: string | null) =>
    ask<{ token: string }>("/v1/session", { method: "POST", body, token }).then(
      (made) => {
        session.value = made.token;
      },
      (error) => setProblem(error),
    );
  useEffect(() => {
    const once = new URLSearchParams(location.hash.slice(1)).get("t");
    history.replaceState(null, "", location.pathname + location.search);
    if (once) open({ once }, null);
  }, []);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        open({}, String(new FormData(event.currentTarget).get("token")).trim());
      }}
    >
      <label>
        Token <input type="password" name="token" autocomplete="off" required />
      </label>
      <button type="submit">Sign in</button>
      {problem ? <ErrorNote error={problem} /> : null}
    </form>
  );
}
