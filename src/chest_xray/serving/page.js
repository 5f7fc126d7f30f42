// Sends the chosen file, and shows the answer. The server has escaped all text in it.
"use strict";

const form = document.getElementById("ask");
const input = document.getElementById("file");
const upload = document.getElementById("upload");
const progress = document.getElementById("progress");
const result = document.getElementById("result");
const about = document.getElementById("about");
let request = new AbortController();

input.addEventListener("change", () => send(input.files[0]));

for (const kind of ["dragenter", "dragover"])
  upload.addEventListener(kind, (event) => { event.preventDefault(); upload.classList.add("over"); });
for (const kind of ["dragleave", "drop"])
  upload.addEventListener(kind, (event) => { event.preventDefault(); upload.classList.remove("over"); });
upload.addEventListener("drop", (event) => send(event.dataTransfer.files[0]));
// A file dropped beside the field must not replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

for (const button of document.querySelectorAll("[data-sample]"))
  button.addEventListener("click", () => {
    document.getElementById("name").textContent = "";
    ask(form.action.replace(/answer$/, `sample/${button.dataset.sample}`));
  });

result.addEventListener("input", (event) => setHeat(event.target));
about.addEventListener("toggle", describe, { once: true });

function send(file) {
  if (!file) return;
  document.getElementById("name").textContent = file.name;
  const body = new FormData();
  body.append("file", file);
  input.value = ""; // The same file may be chosen again.
  ask(form.action, body);
}

async function ask(address, body) {
  request.abort();
  const own = request = new AbortController();
  progress.hidden = false;
  result.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { method: "POST", body, signal: own.signal });
    if (answer.headers.get("content-type").startsWith("text/html")) show(await answer.text());
    else fail(answer.status, (await answer.json()).detail);
  } catch (error) {
    if (own.signal.aborted) return; // A newer request has replaced this one.
    fail(0, "");
  } finally {
    if (own === request) {
      progress.hidden = true;
      result.removeAttribute("aria-busy");
    }
  }
}

function show(html) {
  result.innerHTML = html;
  for (const part of result.querySelectorAll("[data-share]")) part.style.setProperty("--share", part.dataset.share);
  if (matchMedia("(max-width: 700px)").matches) result.scrollIntoView(); // The form fills the screen of a phone.
}

function fail(status, detail) {
  const headings = { 0: form.dataset.unreachable, 413: form.dataset.tooLarge, 503: form.dataset.busy };
  const heading = document.createElement("h2");
  heading.className = "refused";
  heading.textContent = headings[status] || form.dataset.failed;
  const text = document.createElement("p");
  text.textContent = detail;
  const section = document.createElement("section");
  section.className = "answer";
  section.append(heading, text);
  result.replaceChildren(section);
}

function setHeat(slider) {
  slider.closest("figure").style.setProperty("--heat", slider.value);
}

async function describe() {
  const answer = await fetch(about.dataset.source);
  if (answer.ok) about.querySelector("div").innerHTML = await answer.text();
  else about.querySelector("div").textContent = form.dataset.failed;
}
