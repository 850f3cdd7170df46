import { useState } from "preact/hooks";
import { signIn } from "./signIn";

/** The field for a token, which is exchanged for a session and not kept. */
export function SignInForm({ onDone }: { onDone?: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [isAsking, setAsking] = useState(false);
  const submit = async (form: HTMLFormElement) => {
    const field = form.elements.namedItem("token") as HTMLInputElement;
    const token = field.value.trim();
    field.value = "";
    setAsking(true);
    const refused = await signIn(token);
    setAsking(false);
    setProblem(refused);
    if (refused === null) onDone?.();
    else field.focus();
  };
  return (
    <form
      class="sign-in-form"
      onSubmit={(event) => {
        event.preventDefault();
        submit(event.currentTarget);
      }}
    >
      <label for="token">Token</label>
      <span class="sign-in-row">
        <input
          id="token"
          class="input"
          type="password"
          name="token"
          autocomplete="off"
          spellcheck={false}
          required
          aria-describedby={problem ? "token-problem" : undefined}
          aria-invalid={problem ? true : undefined}
        />
        <button type="submit" class="button main" disabled={isAsking}>
          Sign in
        </button>
      </span>
      {problem ? (
        <p id="token-problem" class="sign-in-problem" role="alert">
          {problem}
        </p>
      ) : null}
    </form>
  );
}
