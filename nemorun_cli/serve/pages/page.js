// The script of both pages: signs in, keeps the session, and shows lists or approves a login.
// Text from the server becomes text of the page, never HTML.
"use strict";

const SESSION = "exp.session";
const PAGE_SIZE = 50;
const byId = (id) => document.getElementById(id);
// The fragment has a secret: it leaves the address, and the history, before anything else happens.
const fragment = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
// An address that differs from this one in its fragment alone does not load the page anew.
addEventListener("hashchange", () => location.reload());

class RefusedError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, { method = "GET", body, token = localStorage.getItem(SESSION) } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", cache: "no-store",
  });
  let content = null;
  try {
    content = await answer.json();
  } catch {
    // an answer of a proxy: its status says enough
  }
  if (!answer.ok) throw new RefusedError(answer.status, content?.message ?? `the server answered ${answer.status}`);
  return content;
}

function say(text, isBad = false) {
  const message = byId("message");
  message.textContent = text;
  message.classList.toggle("bad", isBad);
  message.hidden = !text;
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error instanceof RefusedError && error.status === 401) {
      localStorage.removeItem(SESSION);
      showSignIn();
      say("Sign in: the token is missing, wrong or expired.", true);
    } else {
      say(error instanceof RefusedError ? error.message : "The server does not answer.", true);
    }
  }
}

function showSignIn() {
  byId("sign-in").hidden = false;
  byId("content").hidden = true;
  byId("user").hidden = true;
}

async function signIn(body, token) {
  const session = await ask("/v1/session", { method: "POST", body, token });
  localStorage.setItem(SESSION, session.token);
}

async function userOf(token) {
  try {
    return (await ask("/v1/whoami", { token })).user;
  } catch (error) {
    if (error instanceof RefusedError && error.status === 401) return null;
    throw error;
  }
}

// The address may come from anybody: it never replaces the session of another user without a question.
async function signInOnce(once) {
  const present = localStorage.getItem(SESSION) && await userOf(localStorage.getItem(SESSION));
  let session;
  try {
    session = await ask("/v1/session", { method: "POST", body: { once }, token: null });
  } catch (error) {
    if (!present || error.status !== 401) throw error;
    return "This address does not sign in any more.";
  }
  const coming = await userOf(session.token);
  if (present && present !== coming) offer(present, coming, session.token);
  else localStorage.setItem(SESSION, session.token);
  return "";
}

function offer(present, coming, token) {
  const box = byId("other");
  box.querySelector("span").textContent = `You are signed in as ${present}. This address signs in as ${coming}.`;
  byId("replace").textContent = `Sign in as ${coming} instead`;
  byId("keep").textContent = `Stay ${present}`;
  byId("replace").onclick = () => {
    localStorage.setItem(SESSION, token);
    location.reload();
  };
  byId("keep").onclick = () => {
    box.hidden = true;
    attempt(() => ask("/v1/logout", { method: "POST", body: {}, token }));
  };
  box.hidden = false;
}

async function signOut() {
  try {
    await ask("/v1/logout", { method: "POST", body: {} });
  } finally {
    localStorage.removeItem(SESSION);
    showSignIn();
    say("Signed out.");
  }
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function entry(item, name) {
  const details = element("details");
  const summary = element("summary");
  const status = String(item.status ?? "");
  summary.append(element("span", name, { class: "name" }));
  summary.append(element("span", status, { class: "status", "data-status": status }));
  summary.append(element("time", String(item.opened ?? item.created ?? "").replace("T", " ").slice(0, 19), { class: "time" }));
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("pre")) details.append(element("pre", JSON.stringify(item, null, 2)));
  });
  const row = element("li");
  row.append(details);
  return row;
}

async function fill(section, path, key, nameOf, cursor) {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
  if (cursor) query.set("cursor", cursor);
  const page = await ask(`${path}?${query}`);
  const list = section.querySelector("ul");
  for (const item of page[key]) list.append(entry(item, String(nameOf(item))));
  if (!list.children.length) list.append(element("li", "Nothing yet.", { class: "empty" }));
  const more = section.querySelector(":scope > button");
  more.hidden = !page.next;
  more.onclick = () => attempt(() => fill(section, path, key, nameOf, page.next));
}

async function showLists() {
  await Promise.all([
    fill(byId("experiments"), "/v1/views/experiments", "experiments", (item) => item.id),
    fill(byId("records"), "/v1/views/records", "records", (item) => item.prefix),
  ]);
}

let code = fragment.get("code") ?? "";

async function findLogin() {
  const found = await ask("/v1/device/find", { method: "POST", body: { user_code: code } });
  const facts = [["Program", found.name], ["Address", found.address], ["Code", code], ["May", (found.scopes ?? []).join(", ")]];
  byId("found").querySelector("dl").replaceChildren(
    ...facts.flatMap(([term, fact]) => [element("dt", term), element("dd", String(fact ?? ""))]));
  byId("find").hidden = true;
  byId("found").hidden = false;
  say("");
}

async function decide(path, told) {
  await ask(path, { method: "POST", body: { user_code: code } });
  byId("found").hidden = true;
  say(told);
}

function prepareDevice() {
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    code = new FormData(event.target).get("code").trim();
    attempt(findLogin);
  });
  byId("approve").addEventListener("click", () =>
    attempt(() => decide("/v1/device/approve", "Approved. You can close this page.")));
  byId("deny").addEventListener("click", () =>
    attempt(() => decide("/v1/device/deny", "Denied. You can close this page.")));
}

async function show() {
  const user = await ask("/v1/whoami");
  byId("user").querySelector("span").textContent = user.user;
  byId("user").hidden = false;
  byId("sign-in").hidden = true;
  byId("content").hidden = false;
  say("");
  if (document.body.dataset.page === "list") await showLists();
  else if (code) await findLogin();
}

function begin() {
  byId("sign-out").addEventListener("click", () => attempt(signOut));
  byId("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = event.target.elements.token;
    const token = field.value.trim();
    field.value = "";
    attempt(async () => {
      await signIn({}, token);
      await show();
    });
  });
  if (document.body.dataset.page === "device") prepareDevice();
  const once = fragment.get("t");
  attempt(async () => {
    const problem = once ? await signInOnce(once) : "";
    if (localStorage.getItem(SESSION)) await show();
    else showSignIn();
    if (problem) say(problem, true);
  });
}

begin();
