"use strict";
const specs = JSON.parse(document.getElementById("charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const words = { labelColor: soft, titleColor: soft };
  return { axis: { ...words, gridColor: line, domainColor: line, tickColor: line }, legend: { labelColor: ink }, view: { stroke: line }, rule: { color: soft } };
}

function draw() {
  for (const [id, spec] of Object.entries(specs)) {
    const place = document.getElementById(id);
    const options = { actions: false, renderer: "svg", config: colours(), tooltip: { theme: dark.matches ? "dark" : "light" } };
    vegaEmbed(place, spec, options).then(() => place.setAttribute("data-drawn", "yes"));
  }
}

function filter(section) {
  const wanted = Object.fromEntries([...section.querySelectorAll("[data-filter]")].map((each) => [each.dataset.filter, each.value]));
  const words = wanted.words.toLowerCase();
  let shown = 0;
  for (const each of section.querySelectorAll(".mistake")) {
    const fits = ["label", "round", "state"].every((name) => !wanted[name] || each.dataset[name] === wanted[name]);
    each.hidden = !(fits && (!words || each.textContent.toLowerCase().includes(words)));
    shown += !each.hidden;
  }
  section.querySelector("output").value = `${shown} shown`;
}

for (const section of document.querySelectorAll(".mistakes:has(output)")) {
  section.addEventListener("input", () => filter(section));
  filter(section);
}
draw();
dark.addEventListener("change", draw);
