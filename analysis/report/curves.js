// Interactive curves: hover or arrow keys for values, boxes to show and hide strategies. The page is complete without this script.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("curve-data").textContent);
  const root = document.getElementById("curve-box");
  const H = 380, M = { left: 64, right: 16, top: 12, bottom: 44 };
  let W = 720;
  const svgns = "http://www.w3.org/2000/svg";
  const make = (tag, attributes = {}, parent = null, text = null) => {
    const svg = ["svg", "g", "path", "line", "rect", "circle", "text"].includes(tag);
    const node = svg ? document.createElementNS(svgns, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const shown = new Set(data.strategies.length > 12 ? data.strategies.slice(0, 8) : data.strategies);
  let panel = data.panels[0], at = panel.budgets.length - 1, scales = null;

  // controls
  const controls = make("div", { class: "controls" }, root);
  if (data.panels.length > 1) {
    const label = make("label", {}, controls, "Show ");
    const select = make("select", {}, label);
    data.panels.forEach((p, i) => make("option", { value: i }, select, p.title));
    select.addEventListener("change", () => { panel = data.panels[select.value]; at = panel.budgets.length - 1; draw(); });
  }
  const boxes = make("fieldset", {}, root);
  make("legend", {}, boxes, "Strategies");
  const inputs = data.strategies.map((name) => {
    const label = make("label", {}, boxes), look = data.looks[name];
    const box = make("input", { type: "checkbox" }, label);
    box.checked = shown.has(name);
    const key = make("svg", { width: 30, height: 10, "aria-hidden": "true", class: "key" }, label);
    make("line", { x1: 1, y1: 5, x2: 29, y2: 5, stroke: look.colour, "stroke-width": 2.5, "stroke-dasharray": look.dash }, key);
    label.append(" " + name);
    box.addEventListener("change", () => { box.checked ? shown.add(name) : shown.delete(name); draw(); });
    return box;
  });
  for (const [text, on] of [["All", true], ["None", false]]) {
    const button = make("button", { type: "button" }, controls, text);
    button.addEventListener("click", () => {
      data.strategies.forEach((name, i) => { inputs[i].checked = on; on ? shown.add(name) : shown.delete(name); });
      draw();
    });
  }

  // picture and readout
  const svg = make("svg", { role: "img", tabindex: 0, class: "plot" }, root);
  const readout = make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Values at the chosen budget" }, root);
  const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw), out = [];
    for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + 1e-9 * step; t += step) out.push([t, t.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))]);
    return out;
  }

  function draw() {
    svg.replaceChildren();
    W = Math.max(300, Math.min(832, root.clientWidth)); // one unit per pixel: text keeps its size on a phone
    svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
    const lines = data.strategies.filter((s) => shown.has(s) && panel.lines[s]);
    const values = lines.flatMap((s) => [...panel.lines[s].low, ...panel.lines[s].high, ...panel.lines[s].mean]).filter((v) => v !== null);
    if (panel.zone) values.push(-panel.zone, panel.zone);
    let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
    const b = panel.budgets, first = b[0], last = b.length > 1 ? b[b.length - 1] : first + 1;
    const x = (v) => M.left + ((v - first) / (last - first)) * (W - M.left - M.right);
    const y = (v) => H - M.bottom - ((v - low) / (high - low)) * (H - M.top - M.bottom);
    scales = { x };
    if (panel.zone) {
      make("rect", { x: M.left, width: W - M.left - M.right, y: y(panel.zone), height: y(-panel.zone) - y(panel.zone), fill: "#ebebeb" }, svg);
      make("line", { x1: M.left, x2: W - M.right, y1: y(0), y2: y(0), stroke: "#000" }, svg);
    }
    for (const [v, text] of ticks(low, high, 5)) {
      make("line", { x1: M.left, x2: W - M.right, y1: y(v), y2: y(v), stroke: "#ddd" }, svg);
      make("text", { x: M.left - 6, y: y(v) + 4, "text-anchor": "end" }, svg, text);
    }
    for (const [v, text] of ticks(first, last, W / 110)) make("text", { x: x(v), y: H - M.bottom + 18, "text-anchor": "middle" }, svg, text);
    make("text", { x: (W + M.left) / 2, y: H - 8, "text-anchor": "middle" }, svg, "labels paid for");
    make("text", { transform: `translate(14 ${(H - M.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, svg, panel.axis);
    for (const s of [...lines].reverse()) {
      const { mean, low: lo, high: hi } = panel.lines[s], look = data.looks[s];
      const known = b.map((_, i) => i).filter((i) => lo[i] !== null && hi[i] !== null);
      if (lines.length <= 5 && known.length > 1) {
        const up = known.map((i) => [x(b[i]), y(hi[i])]), down = known.map((i) => [x(b[i]), y(lo[i])]).reverse();
        make("path", { d: line([...up, ...down]) + "Z", fill: look.colour, opacity: 0.13 }, svg);
      }
      make("path", { d: line(mean.map((v, i) => [x(b[i]), y(v)])), fill: "none", stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash }, svg);
      mean.forEach((v, i) => make("circle", { cx: x(b[i]), cy: y(v), r: 2.6, fill: look.colour }, svg));
    }
    make("line", { class: "cursor", x1: x(b[at]), x2: x(b[at]), y1: M.top, y2: H - M.bottom, stroke: "#555", "stroke-dasharray": "3 3" }, svg);
    svg.setAttribute("aria-label", `${panel.title}, ${lines.length} strategies. Arrow keys choose a budget, now ${b[at]} labels; values in the table below.`);
    table(lines);
  }

  function table(lines) {
    const rows = lines.map((s) => [s, panel.lines[s]]).sort((p, q) => q[1].mean[at] - p[1].mean[at]);
    const made = make("table", { class: "data" });
    make("caption", {}, made, `${panel.title} at ${panel.budgets[at]} labels: mean and ${panel.band}, highest first`);
    const head = make("tr", {}, make("thead", {}, made)), body = make("tbody", {}, made);
    for (const name of ["strategy", panel.axis, "interval", "n"]) make("th", { scope: "col" }, head, name);
    for (const [s, l] of rows) {
      const row = make("tr", {}, body);
      make("th", { scope: "row" }, row, s);
      for (const cell of [l.text[at], l.interval[at], l.n]) make("td", {}, row, cell);
    }
    readout.replaceChildren(made);
  }

  const choose = (i) => { const next = Math.max(0, Math.min(panel.budgets.length - 1, i)); if (next !== at) { at = next; draw(); } };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), px = ((event.clientX - box.left) / box.width) * W;
    choose(panel.budgets.map((v, i) => [Math.abs(scales.x(v) - px), i]).sort((p, q) => p[0] - q[0])[0][1]);
  });
  svg.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: panel.budgets.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); choose(to); }
  });
  root.hidden = false;
  window.addEventListener("resize", draw);
  draw();
})();
