import type { WhoamiDocument } from "../api/documents/whoami";

/** Why there are no actions; null while nobody is known to be signed in. */
export function whyNot(user: WhoamiDocument | null): string | null {
  if (user === null) return null;
  if (!user.scopes.includes("control")) {
    return "To cancel, resume, rerun, tag, note or remove needs the scope control, which your token does not have.";
  }
  return "This server acts on nothing: it has copies of what runs elsewhere, or was started without --control.";
}
