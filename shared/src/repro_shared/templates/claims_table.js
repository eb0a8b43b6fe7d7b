"use strict";
const table = document.getElementById("claims"), heads = [...table.tHead.rows[0].cells];

// A row opens to its reasons, with a copy of the figure that decides it.
const toggles = new Map();
for (const button of table.querySelectorAll(".open")) {
  const more = document.getElementById(button.getAttribute("aria-controls"));
  const toggle = open => {
    more.hidden = !open;
    button.setAttribute("aria-expanded", open);
    const figure = more.querySelector("figure");
    if (open && figure && !figure.firstChild) {
      const shown = document.getElementById(figure.dataset.of);
      figure.style.maxWidth = shown.style.width;
      figure.append(shown.querySelector(".frame").cloneNode(true));
    }
  };
  button.addEventListener("click", () => toggle(more.hidden));
  toggles.set(button.closest("tbody"), toggle);
  toggle(false);
}
function openNamed() {   // page.html#<claim>
  const body = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (toggles.has(body)) { toggles.get(body)(true); body.scrollIntoView(); }
}
addEventListener("hashchange", openNamed);
openNamed();

// Columns sort, up and down.
const verdicts = heads.length - 1;
function sort(column, order) {
  const key = body => body.rows[0].cells[column].dataset.sort;
  const number = text => text === "" ? Infinity * order : Number(text);   // what has no value goes last
  [...table.tBodies].map((body, index) => [body, index])
    .sort(([a, i], [b, j]) => order * (number(key(a)) - number(key(b))) || i - j)
    .forEach(([body]) => table.append(body));
  heads.forEach((head, index) =>
    head.setAttribute("aria-sort", index !== column ? "none" : order > 0 ? "ascending" : "descending"));
}
heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () =>
  sort(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1)));
document.getElementById("sort").addEventListener("change", event =>
  sort(event.target.value === "verdict" ? verdicts : 0, 1));

// Only the rows of a paper, of a verdict, with all of some words.
const filters = document.getElementById("filters");
if (filters) {
  const { search, paper, verdict, count } = filters.elements;
  const texts = new Map([...table.tBodies].map(body => [body, body.textContent.toLowerCase()]));
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const [body, text] of texts) {
      body.hidden = !((!paper.value || body.dataset.paper === paper.value) &&
        (!verdict.value || body.dataset.verdict === verdict.value) && words.every(word => text.includes(word)));
      left += !body.hidden;
    }
    count.value = `${left} of ${texts.size} claims`;
  };
  filters.addEventListener("input", apply);
  filters.addEventListener("submit", event => event.preventDefault());
  for (const link of document.querySelectorAll("[data-only-paper]"))
    link.addEventListener("click", () => {
      paper.value = link.dataset.onlyPaper; verdict.value = link.dataset.onlyVerdict || ""; search.value = ""; apply();
    });
  apply();
}

// A figure fills the window until Escape or a click.
const dialog = document.getElementById("zoomed");
document.addEventListener("click", event => {
  const zoom = event.target.closest(".zoom");
  if (zoom) {
    dialog.replaceChildren(zoom.firstElementChild.cloneNode(true));
    dialog.showModal();
  } else if (event.target.closest("#zoomed")) dialog.close();
});
