import { Dialog } from "../ui/Dialog";
import { SignInForm } from "./SignInForm";

/** Signs in anew over what is shown. */
export function SessionDialog({ onLeave }: { onLeave: () => void }) {
  return (
    <Dialog title="Log in again" onLeave={onLeave}>
      <p>Paste a token of this server, or open the address that exp serve prints in another tab.</p>
      <SignInForm onDone={onLeave} />
    </Dialog>
  );
}
