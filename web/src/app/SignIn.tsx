import { sessionOver } from "../api/client";
import { CommandHint } from "../ui/CommandHint";
import { SignInForm } from "./SignInForm";
import { isSigningIn, signInNote } from "./signIn";
import "./SignIn.css";

/** What somebody sees who has not signed in. */
export function SignIn() {
  if (isSigningIn.value) return null;
  const note =
    signInNote.value ??
    (sessionOver.value === null
      ? null
      : "Sign in: your session is over, or the token is missing, wrong or expired.");
  return (
    <section class="alone">
      <h1>Sign in</h1>
      {note ? <p role="status">{note}</p> : null}
      <p class="alone-second">
        Open the address that <code>exp serve</code> printed, which signs in once, or paste a token of this
        server.
      </p>
      <SignInForm />
      <p class="alone-third">A new token, on the server’s machine</p>
      <CommandHint command="exp serve token add NAME" />
    </section>
  );
}
