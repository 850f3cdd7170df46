// The fragment may have a secret: it leaves the address, and the history, before anything else happens.
const fragment = new URLSearchParams(location.hash.slice(1));

/** The one-time token of the printed address. */
export const once = fragment.get("t");
/** The code of a login, from the address that a program printed. */
export const code = fragment.get("code");

if (once !== null || code !== null) history.replaceState(null, "", location.pathname + location.search);
// An address that differs from this one in its fragment alone does not load the page anew.
addEventListener("hashchange", () => {
  const later = new URLSearchParams(location.hash.slice(1));
  if (later.has("t") || later.has("code")) location.reload();
});
