"use strict";

/* Light or dark: as the system has it, until somebody chooses. */
const root = document.documentElement;
const chosen = localStorage.getItem("theme");
if (chosen) root.dataset.theme = chosen;

function isDark() {
  const theme = root.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function themeButton() {
  const button = document.getElementById("theme");
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    label();
    drawAll();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { label(); drawAll(); });
}

/* Charts: the server makes the figure, this draws it. */
function figure(element) {
  const url = new URL(element.dataset.figure, location.href);
  if (isDark()) url.searchParams.set("theme", "dark");
  return fetch(url, {headers: {accept: "application/json"}});
}

async function draw(element, answer) {
  if (!answer.ok) {
    const told = answer.headers.get("content-type").startsWith("application/json") ? await answer.json() : {faults: ["The server did not answer."]};
    element.textContent = told.faults.join(" ");
    return;
  }
  const spec = await answer.json();
  await window.drawFigure(element, spec);
  if (spec.description) element.setAttribute("aria-label", spec.description);
  element.dataset.drawn = "";
}

/* All are asked for at once, and drawn from the top: what is looked at first is there first. */
async function drawAll(within = document) {
  const asked = [...within.querySelectorAll("[data-figure]")].map((element) => [element, figure(element)]);
  for (const [element, answer] of asked) await draw(element, await answer);
}

/* Suggestions while somebody types. */
function suggest(input) {
  const list = document.getElementById(input.getAttribute("list"));
  let last = 0;
  input.addEventListener("input", async () => {
    const turn = ++last;
    const answer = await fetch(`/suggestions/${input.dataset.suggest}?query=${encodeURIComponent(input.value)}`);
    if (!answer.ok || turn !== last) return;
    list.replaceChildren(...(await answer.json()).map(({code, name}) => {
      const option = document.createElement("option");
      option.value = name;
      option.label = `${name} (${code})`;
      return option;
    }));
  });
}

/* A form's empty fields stay out of the URL. */
function withoutEmpty(form) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}

const focusable = (part) => [...part.querySelectorAll("a[href], button, summary, [tabindex]")];

/* Says above the page, for as long as it is so, why what is shown may be old. */
function outOfDate(words) {
  const before = document.getElementById("out-of-date");
  if (!words) { before?.remove(); return; }
  if (before?.textContent === words) return;
  const note = before ?? document.createElement("p");
  Object.assign(note, {id: "out-of-date", className: "fault", role: "alert", textContent: words});
  document.getElementById("main").prepend(note);
}

/* What has changed on the server is shown without loading the page again. */
async function renew(changed) {
  let answer;
  try {
    answer = await fetch(location.href, {headers: {accept: "text/html"}});
  } catch {
    outOfDate("The server does not answer: what is shown here may be old.");
    return;
  }
  if (new URL(answer.url).pathname !== location.pathname) {
    outOfDate("You are signed out, and what is shown here may be old: load the page again to sign in.");
    return;
  }
  if (answer.status === 404) { location.reload(); return; }  // it is gone: the page that says so
  outOfDate(answer.ok ? "" : `The server refuses to show this again (${answer.status}): what is shown here may be old.`);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const marked = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
    if (!other || marked || focused?.matches("input, textarea, select")) continue;
    const open = [...part.querySelectorAll("details")].map((each) => each.open);
    const place = focusable(part).indexOf(focused);
    const drawn = new Map([...part.querySelectorAll("[data-figure]")].map((each) => [each.dataset.figure, each]));
    for (const each of other.querySelectorAll("[data-figure]")) {
      const old = drawn.get(each.dataset.figure);
      if (old) each.replaceWith(old);
    }
    part.replaceChildren(...other.childNodes);
    part.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? each.open; });
    (focused?.id ? document.getElementById(focused.id) : focusable(part)[place])?.focus({preventScroll: true});
    await drawAll(part);
  }
  if (changed) document.getElementById("told").textContent = `Updated at ${new Date().toISOString().slice(11, 19)} UTC.`;
}

function live() {
  const wanted = document.body.dataset.live.split(" ").filter(Boolean);
  if (!wanted.length) return;
  let due = false;
  let changed = false;  // or only looked at again, as numbers grow and ages do: nobody is told of it
  let running = false;
  const run = async (event) => {
    due = true;
    changed ||= event instanceof MessageEvent;
    if (running || document.hidden) return;
    running = true;
    while (due) {
      const tell = changed;
      due = changed = false;
      try { await renew(tell); } catch (error) { if (!(error instanceof TypeError)) throw error; }  // the server is away
      await new Promise((done) => setTimeout(done, 1000));
    }
    running = false;
  };
  let source;
  const listen = () => {
    source = new EventSource("/events");
    for (const name of wanted) source.addEventListener(name, run);
    source.addEventListener("error", run);
    source.addEventListener("open", () => { source.addEventListener("open", run); }, {once: true});  // again: it was away
  };
  const every = Number(document.body.dataset.every);
  if (every) setInterval(run, every * 1000);
  // A page that nobody sees does not listen: browsers open six connections to a server, for all of their tabs.
  document.addEventListener("visibilitychange", (event) => {
    source?.close();
    if (!document.hidden) { listen(); run(event); }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) listen();
}

/* A text is copied; where the browser does not let a page do so, it is selected. */
function copying(button) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy);
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } else {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected: copy it with Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 4000);
  });
}

document.addEventListener("DOMContentLoaded", () => {
  themeButton();
  document.querySelectorAll("[data-suggest]").forEach(suggest);
  document.querySelectorAll("form[method=get]").forEach(withoutEmpty);
  document.querySelectorAll("[data-copy]").forEach(copying);
  drawAll();
  live();
});
