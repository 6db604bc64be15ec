"use strict";
// Shared by all pages: the theme, the charts, and data as text nodes (never as markup).
const ifcurate = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  function element(name, properties = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "data") Object.assign(node.dataset, value);
      else if (key.startsWith("aria-") || key === "role") node.setAttribute(key, value);
      else node[key] = value;
    }
    node.append(...children);
    return node;
  }

  // Control characters and bidirectional marks are shown as code points.
  const SIGNS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
  function visible(text) {
    if (!SIGNS.test(text)) return [document.createTextNode(text)];
    const nodes = [];
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      if (!SIGNS.test(text[i])) continue;
      if (text[i] === "\r" && text[i + 1] === "\n") continue;
      if (i > from) nodes.push(document.createTextNode(text.slice(from, i)));
      const code = "U+" + text.charCodeAt(i).toString(16).toUpperCase().padStart(4, "0");
      nodes.push(element("span", { className: "sign", textContent: code }));
      from = i + 1;
    }
    if (from < text.length) nodes.push(document.createTextNode(text.slice(from)));
    return nodes;
  }

  // ---- theme -------------------------------------------------------------------------
  const probe = element("span", { hidden: true });
  document.body.append(probe);
  function color(text) {
    probe.style.color = text;
    return getComputedStyle(probe).color;
  }
  function resolve(value) {
    if (typeof value === "string") return value.startsWith("var(--") ? color(value) : value;
    if (Array.isArray(value)) {
      return value.length && typeof value[0] !== "object" && typeof value[0] !== "string" ? value : value.map(resolve);
    }
    if (value && typeof value === "object" && !(value instanceof Node)) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === "data" && isPoints(v) ? v : resolve(v)]));
    }
    return value;
  }
  const isPoints = (v) => Array.isArray(v) && v.length > 0 && Array.isArray(v[0]);

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : wantsDark.matches;
  }
  function setTheme(name) {
    if (name) root.dataset.theme = name;
    const button = document.getElementById("theme");
    if (button) button.textContent = isDark() ? "Light" : "Dark";
    for (const chart of charts) chart.draw();
  }
  function startTheme() {
    let kept = null;
    try { kept = localStorage.getItem("ifcurate-theme"); } catch { /* not available on some file pages */ }
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      try { localStorage.setItem("ifcurate-theme", next); } catch { /* as above */ }
      setTheme(next);
    });
    wantsDark.addEventListener("change", () => setTheme());
    setTheme();
  }

  // ---- charts ------------------------------------------------------------------------
  function theme() {
    const axis = {
      axisLine: { lineStyle: { color: color("var(--line)") } },
      axisTick: { show: false },
      axisLabel: { color: color("var(--muted)"), fontSize: 12, hideOverlap: true },
      nameTextStyle: { color: color("var(--muted)"), fontSize: 12 },
      splitLine: { lineStyle: { color: color("var(--line)"), opacity: .7 } },
    };
    return {
      color: [1, 2, 3, 4, 5, 6].map((i) => color(`var(--series-${i})`)),
      backgroundColor: "transparent",
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      legend: { textStyle: { color: color("var(--ink)") }, inactiveColor: color("var(--muted)") },
      valueAxis: axis, categoryAxis: axis, logAxis: axis,
    };
  }
  const number = (v) => (typeof v !== "number" ? String(v) : Number.isInteger(v) ? v.toLocaleString("en") : v.toPrecision(4).replace(/\.?0+$/, ""));
  // Tooltips are nodes, so names from the data stay text.
  function tooltip(shown) {
    const items = Array.isArray(shown) ? shown : [shown];
    const box = element("div");
    const head = items[0].axisValueLabel ?? items[0].seriesName;
    if (head) box.append(element("div", { textContent: head }));
    for (const item of items) {
      const value = Array.isArray(item.value) ? item.value : [item.value];
      const text = items[0].axisValueLabel === undefined
        ? value.slice(0, 2).map(number).join(" · ")
        : `${item.seriesName}  ${number(value[value.length > 1 ? 1 : 0])}`;
      const row = element("div");
      const dot = element("span", { textContent: "● " });
      dot.style.color = typeof item.color === "string" ? item.color : "inherit";
      row.append(dot, text);
      box.append(row);
    }
    return box;
  }
  function draw(place, option, { click, height } = {}) {
    place.style.height = `${height ?? place.dataset.height ?? 360}px`;
    const chart = { option };
    chart.draw = () => {
      chart.view?.dispose();
      chart.view = echarts.init(place, theme(), { renderer: "canvas" });
      chart.view.setOption({
        animation: false,
        grid: { left: 4, right: 18, top: 40, bottom: 4, outerBoundsMode: "same" },
        ...resolve(chart.option),
        tooltip: {
          confine: true, formatter: tooltip, backgroundColor: color("var(--surface)"),
          borderColor: color("var(--line)"), textStyle: { color: color("var(--ink)"), fontSize: 13 },
          ...chart.option.tooltip,
        },
      });
      if (click) chart.view.on("click", click);
    };
    chart.update = (option) => { chart.option = option; chart.view.setOption(resolve(option)); };
    charts.push(chart);
    chart.draw();
    new ResizeObserver(() => chart.view.resize()).observe(place);
    return chart;
  }
  function drawAll(options = {}) {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const name = place.dataset.figure;
      draw(place, data.figures[name].option, options[name]);
    }
  }

  // ---- examples ----------------------------------------------------------------------
  // Three decimals, but two significant digits for small numbers, so that rows near a small cut differ.
  const plain = (v) => (v == null ? "–" : v !== 0 && Math.abs(v) < .01 ? (Math.abs(v) < 1e-6 ? "0.000" : Number(v.toPrecision(2)).toString()) : v.toFixed(3));
  const signed = (v) => (v > 0 && plain(v) !== "0.000" ? "+" : "") + plain(v);
  const KINDS = { 1: "mark", 2: "cut", 3: "gap", 4: "old" };

  function segments(parts) {
    const text = element("div", { className: "text", dir: "auto", tabIndex: 0, role: "group", "aria-label": "text" });
    for (const [words, kind] of parts) {
      if (!kind) text.append(...visible(words));
      else if (kind === 1) text.append(element("mark", {}, ...visible(words)));
      else text.append(element("span", { className: KINDS[kind] }, ...visible(words)));
    }
    return text;
  }
  function part(name, node) {
    return element("div", { className: "part" }, element("span", { textContent: name }), node);
  }
  // Response tokens coloured by their gains; the arrow keys move between them.
  function tokens(list) {
    const text = element("div", { className: "text", dir: "auto", tabIndex: 0, role: "group", "aria-label": "Response tokens; use the left and right arrow keys" });
    const readout = element("div", { className: "readout idle", role: "status", textContent: "Point at a token, or use ← and →, to see its numbers." });
    let at = -1;
    const nodes = list.map(([words, withContext, without], i) => {
      const gain = without - withContext;
      const strength = Math.min(Math.abs(gain) / 3, 1);
      const node = element("span", { className: "token" }, ...visible(words));
      node.style.background = `color-mix(in srgb, var(--${gain > 0 ? "helped" : "hurt"}-ground) ${Math.round(100 * strength)}%, transparent)`;
      node.title = `gain ${signed(gain)} nats\nloss with context ${plain(withContext)}\nloss without ${plain(without)}`;
      node.addEventListener("pointerenter", () => show(i));
      return node;
    });
    function show(i) {
      nodes[at]?.classList.remove("at");
      at = Math.max(0, Math.min(nodes.length - 1, i));
      const [words, withContext, without] = list[at];
      nodes[at].classList.add("at");
      readout.classList.remove("idle");
      readout.textContent = `token ${at + 1} of ${nodes.length}  gain ${signed(without - withContext)}  loss with ${plain(withContext)}  without ${plain(without)}  `;
      readout.append(...visible(JSON.stringify(words)));
    }
    text.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || !nodes.length) return;
      event.preventDefault();
      event.stopPropagation();
      show(at + step);
      nodes[at].scrollIntoView({ block: "nearest" });
    });
    text.append(...nodes);
    const legend = element("div", { className: "legend" },
      swatch("var(--helped-ground)", "the context helped this token"), swatch("var(--hurt-ground)", "the context hurt it"));
    return element("div", {}, text, readout, legend);
  }
  function swatch(ground, words) {
    const box = element("i");
    box.style.background = ground;
    return element("span", {}, box, words);
  }
  function fact(name, value) {
    return element("span", {}, `${name} `, element("b", { textContent: value }));
  }
  function label(name) {
    return element("span", { className: `label ${name}`, textContent: name });
  }
  function example(row, { reason = true } = {}) {
    const box = element("div", { className: "example" });
    const facts = element("div", { className: "facts" }, label(row.label),
      fact("gain", signed(row.gain)), fact("loss without", plain(row.without)),
      fact("with", plain(row.with)), fact("response tokens", number(row.tokens ?? 0)));
    facts.append(element("span", {}, "from ", element("bdi", {}, ...visible(`${row.source}, row ${row.row}`))));
    box.append(facts);
    if (reason && row.reason) box.append(element("div", { className: "caption" }, ...visible(row.reason)));
    const shown = row.text;
    if (!shown) {
      box.append(part("instruction (its start)", segments([[row.preview ?? "", 0]])));
      return box;
    }
    for (const [name, parts] of shown.parts) box.append(part(name, segments(parts)));
    box.append(part("response", shown.tokens ? tokens(shown.tokens) : segments(shown.response)));
    return box;
  }

  return { data, element, visible, draw, drawAll, startTheme, example, segments, part, label, signed, plain, number, resolve };
})();
ifcurate.startTheme();
