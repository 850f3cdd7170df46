import { useEffect, useState } from "preact/hooks";
import { ask, beginSession } from "../api/client";
import { ErrorNote } from "../ui/ErrorNote";
import { once } from "./fragment";

export function SignIn() {
  const [problem, setProblem] = useState<unknown>(null);
  const open = (body: object, token: string | null) =>
    ask<{ token: string }>("/v1/session", { method: "POST", body, token }).then(
      (made) => {
        beginSession(made.token);
      },
      (error) => setProblem(error),
    );
  useEffect(() => {
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
