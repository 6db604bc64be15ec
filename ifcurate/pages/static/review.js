"use strict";
// The review: moving the cut, setting labels by hand, judging counterfactuals.
(() => {
  const { data, element, visible, draw, example, segments, part, label, signed, plain, number } = ifcurate;
  const CRITICAL = "context-critical";
  const NON_CRITICAL = "non-context-critical";

  // ---- the server ------------------------------------------------------------------------
  const status = element("p", { className: "caption", role: "status" });
  async function ask(name, parameters = {}, body = null) {
    const url = `api/${name}?${new URLSearchParams(parameters)}`;
    const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
    try {
      const answer = await fetch(url, options);
      const value = await answer.json();
      if (!answer.ok) throw new Error(value.error);
      return value;
    } catch (error) {
      status.textContent = `Not done: ${error.message}. Is \`ifcurate review\` still running?`;
      return null;
    }
  }

  // ---- state -------------------------------------------------------------------------------
  const cut = { statistic: data.start.statistic, share: data.start.share };
  const list = { view: "near", words: "", source: "", page: 0, rows: [], total: 0, size: 50, at: -1 };
  const query = (more = {}) => ({ ...cut, ...more });

  // ---- the cut -----------------------------------------------------------------------------
  const words = { loss_without_context: "loss without context (the paper's rule)", context_gain: "gain" };
  const statistic = element("select", {}, ...data.statistics.map((value) => element("option", { value, textContent: words[value], selected: value === cut.statistic })));
  const slider = element("input", { type: "range", min: 0, max: 1000, step: 1, value: Math.round(1000 * cut.share), id: "cut" });
  const threshold = element("output", { className: "threshold" });
  const place = element("div", { className: "chart", role: "img", "aria-label": "Histogram of the statistic, with the cut" });
  const cards = element("dl", { className: "cards" });
  const command = element("code", { className: "line" });
  const copy = element("button", { type: "button", textContent: "Copy" });
  copy.addEventListener("click", () => navigator.clipboard?.writeText(command.textContent).then(() => { status.textContent = "Copied."; }));
  const save = element("a", { className: "button", textContent: "Export decisions" });
  let histogram = { edges: [0, 1], counts: [0] };
  let chart = null;

  function bars(value) {
    const { edges, counts } = histogram;
    const [low, high] = [edges[0], edges[edges.length - 1]];
    const bar = (n, i) => {
      const middle = (edges[i] + edges[i + 1]) / 2;
      return { value: [middle, n], itemStyle: { color: middle > value ? "var(--critical)" : "var(--non-critical)" } };
    };
    return {
      grid: { left: 4, right: 4, top: 22, bottom: 4, outerBoundsMode: "same" },
      xAxis: { type: "value", min: low, max: high, splitLine: { show: false }, axisLabel: { showMinLabel: false, showMaxLabel: false } },
      yAxis: { type: "value", show: false },
      series: [{
        type: "bar", barWidth: "92%", name: "examples", data: counts.map(bar),
        markLine: {
          symbol: "none", silent: true, animation: false, lineStyle: { color: "var(--ink)", type: "dashed" },
          label: { color: "var(--ink)", formatter: `cut ${value.toPrecision(4)}` },
          data: [{ xAxis: Math.min(Math.max(value, low), high) }],
        },
      }],
      tooltip: { trigger: "axis" },
    };
  }
  let asked = 0;
  async function refresh() {
    const mine = ++asked;
    const state = await ask("state", query());
    if (!state || mine !== asked) return;
    threshold.textContent = `${(100 * state.share).toFixed(1)}% below ${number(state.threshold)} nats`;
    const items = [
      ["Kept", number(state.kept), CRITICAL], ["Dropped", number(state.dropped), NON_CRITICAL],
      ["Response tokens kept", state.tokens === null ? "–" : `${state.tokens}%`, "of the labelled examples"],
      ["Set by hand", number(state.byHand), "saved in overrides.json"], ["Changed", number(state.moved), "labels other than the run's split"],
    ];
    cards.replaceChildren(...items.map(([name, value, note]) => element("div", { className: "card" }, element("dt", { textContent: name }),
      element("dd", {}, element("b", { textContent: value, data: { count: name } }), element("span", { textContent: note })))));
    command.textContent = state.command;
    save.href = `api/decisions?${new URLSearchParams(query())}`;
    if (chart) chart.update(bars(state.threshold));
    else chart = draw(place, bars(state.threshold), { height: 150 });
  }
  let timer = 0;
  function moved() {
    cut.share = Number(slider.value) / 1000;
    slider.setAttribute("aria-valuetext", `${(100 * cut.share).toFixed(1)} percent below the cut`);
    refresh();
    clearTimeout(timer);
    timer = setTimeout(() => { list.page = 0; load(); }, 150);
  }
  slider.addEventListener("input", moved);
  statistic.addEventListener("change", async () => {
    cut.statistic = statistic.value;
    histogram = await ask("histogram", query()) ?? histogram;
    moved();
  });

  // ---- the list ------------------------------------------------------------------------------
  const views = { near: "near the cut", kept: "kept, nearest first", dropped: "dropped, nearest first", "by-hand": "set by hand", all: "all, in order" };
  const view = element("select", {}, ...Object.entries(views).map(([value, textContent]) => element("option", { value, textContent })));
  const source = element("select", {}, element("option", { value: "", textContent: "all" }), ...data.sources.map((value) => element("option", { value, textContent: value.length > 40 ? "…" + value.slice(-39) : value })));
  const search = element("input", { type: "search", placeholder: "words of any text, or an id" });
  const counted = element("p", { className: "caption", role: "status" });
  const entries = element("ol", { className: "entries" });
  const back = element("button", { type: "button", textContent: "Previous page" });
  const on = element("button", { type: "button", textContent: "Next page" });
  const shown = element("div", { className: "panel shown", id: "shown" });
  for (const [box, key] of [[view, "view"], [source, "source"]]) {
    box.addEventListener("change", () => { list[key] = box.value; list.page = 0; load(); });
  }
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { list.words = search.value; list.page = 0; load(); }, 200);
  });
  back.addEventListener("click", () => { list.page--; load(); });
  on.addEventListener("click", () => { list.page++; load(); });

  let loading = 0;
  async function load(at = 0) {
    const mine = ++loading;
    const { view: kind, words: text, source: from, page } = list;
    const found = await ask("rows", query({ view: kind, words: text, source: from, page }));
    if (!found || mine !== loading) return;
    Object.assign(list, { rows: found.rows, total: found.total, size: found.size });
    const first = page * found.size;
    counted.textContent = found.total ? `${number(first + 1)}–${number(first + found.rows.length)} of ${number(found.total)}` : "no example here";
    if (found.note) counted.textContent += ` (the search looks at the start of the instruction: ${found.note})`;
    back.disabled = page === 0;
    on.disabled = first + found.size >= found.total;
    entries.replaceChildren(...list.rows.map(entry));
    if (list.rows.length) open(at < 0 ? list.rows.length - 1 : at);
    else shown.replaceChildren(element("p", { className: "caption", textContent: "No example matches." }));
  }
  function entry(row, i) {
    const button = element("button", { type: "button", className: "entry" });
    fill(button, row);
    button.addEventListener("click", () => open(i));
    return element("li", {}, button);
  }
  function fill(button, row) {
    const facts = element("span", { className: "facts" }, label(row.label), ...(row.byHand ? [element("span", { className: "hand", textContent: "by hand" })] : []),
      element("span", { textContent: `gain ${signed(row.gain)}` }), element("span", { textContent: `without ${plain(row.without)}` }));
    button.replaceChildren(element("bdi", { className: "start" }, ...visible((row.preview || row.id).slice(0, 110))), facts);
  }
  let opening = 0;
  async function open(i) {
    list.at = i;
    const mine = ++opening;
    const row = list.rows[i];
    [...entries.children].forEach((item, n) => item.firstChild.setAttribute("aria-current", n === i ? "true" : "false"));
    entries.children[i]?.scrollIntoView({ block: "nearest" });
    const found = await ask("example", query({ place: row.place }));
    if (!found || mine !== opening) return;
    show(found);
  }
  function choice(row, name, text, key) {
    const button = element("button", { type: "button", title: `Key: ${key}`, "aria-pressed": String(name !== null && row.byHand === name) }, `${text} `, element("kbd", { textContent: key }));
    button.disabled = name === null && !row.byHand;
    button.addEventListener("click", () => set(name));
    return button;
  }
  function show(row) {
    const can = row.label === CRITICAL || row.label === NON_CRITICAL;
    const bar = element("div", { className: "tools" }, choice(row, CRITICAL, "Context-critical", "1"), choice(row, NON_CRITICAL, "Non-context-critical", "2"), choice(row, null, "Take back", "0"));
    const note = can ? bar : element("p", { className: "caption", textContent: "This example has no score, so it cannot have a label." });
    const problem = row.problem ? [element("p", { className: "caption" }, ...visible(`The text cannot be shown: ${row.problem}`))] : [];
    shown.replaceChildren(note, element("h3", {}, ...visible(row.id)), example(row, { reason: false }), ...problem);
  }
  async function set(name) {
    const row = list.rows[list.at];
    if (!row) return;
    const done = await ask("label", {}, { place: row.place, label: name });
    if (!done) return;
    const focused = shown.contains(document.activeElement) ? [...shown.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    const found = await ask("example", query({ place: row.place }));
    if (found) {
      Object.assign(row, { label: found.label, byHand: found.byHand });
      fill(entries.children[list.at].firstChild, row);
      show(found);
      if (focused >= 0) shown.querySelectorAll("button")[focused].focus();
    }
    status.textContent = name ? `Saved: ${name}, by hand.` : "Label removed: the rule decides again.";
    refresh();
  }
  function step(by) {
    const next = list.at + by;
    if (next >= 0 && next < list.rows.length) open(next);
    else if (next < 0 && !back.disabled) { list.page--; load(-1); }
    else if (next >= list.rows.length && !on.disabled) { list.page++; load(); }
  }

  // ---- counterfactuals -------------------------------------------------------------------------
  const pairs = document.getElementById("pairs");
  const pair = { at: 0, now: null };
  async function openPair(at) {
    if (at < 0 || at >= data.counterfactuals.total) return;
    const found = await ask("counterfactual", { place: at });
    if (!found) return;
    Object.assign(pair, { at, now: found });
    const judge = (verdict, text, key) => {
      const button = element("button", { type: "button", title: `Key: ${key}`, data: { verdict: verdict ?? "" }, "aria-pressed": String(found.verdict === verdict && verdict !== null) }, `${text} `, element("kbd", { textContent: key }));
      button.disabled = verdict === null && !found.verdict;
      button.addEventListener("click", () => judgePair(verdict));
      return button;
    };
    const walk = (text, key, by) => {
      const button = element("button", { type: "button" }, `${text} `, element("kbd", { textContent: key }));
      button.disabled = at + by < 0 || at + by >= found.counts.total;
      button.addEventListener("click", () => openPair(at + by));
      return button;
    };
    const side = (name, index) => element("div", { className: "panel" }, element("h3", { textContent: name }),
      element("div", { className: "example" }, ...found.fields.map((field) => part(field[0], segments(field[index])))));
    const { total, good, broken } = found.counts;
    pairs.replaceChildren(
      element("div", { className: "tools" }, judge("good", "Good", "g"), judge("broken", "Broken", "b"), judge(null, "Take back", "u"), walk("Previous", "p", -1), walk("Next", "n", 1),
        element("span", { className: "count", role: "status", textContent: `${at + 1} of ${number(total)}; ${number(good)} good, ${number(broken)} broken` })),
      element("p", { className: "caption" }, ...visible(`${found.original ?? "?"} became ${found.substitute ?? "?"} (${found.type ?? "?"})`)),
      element("div", { className: "pairs" }, side("Original", 1), side("Counterfactual", 2)));
  }
  async function judgePair(verdict) {
    if (!pair.now) return;
    const focused = pairs.contains(document.activeElement) ? [...pairs.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    if (await ask("verdict", {}, { hash: pair.now.hash, verdict })) await openPair(pair.at);
    if (focused >= 0) pairs.querySelectorAll("button")[focused].focus();
  }

  // ---- keys -------------------------------------------------------------------------------------
  const keys = {
    j: () => step(1), k: () => step(-1), 1: () => set(CRITICAL), 2: () => set(NON_CRITICAL), 0: () => set(null),
    "[": () => { slider.value = Number(slider.value) - 10; moved(); }, "]": () => { slider.value = Number(slider.value) + 10; moved(); },
    "/": () => search.focus(),
    g: () => judgePair("good"), b: () => judgePair("broken"), u: () => judgePair(null), n: () => openPair(pair.at + 1), p: () => openPair(pair.at - 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typed = event.target.matches("input[type=search], select");
    if (typed && event.key === "Escape") event.target.blur();
    if (typed || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  const key = (name, text) => element("span", {}, element("kbd", { textContent: name }), ` ${text}`);
  const help = element("div", { className: "legend keys" }, key("j", "next"), key("k", "previous"), key("1", CRITICAL), key("2", NON_CRITICAL), key("0", "take back"), key("[ ]", "move the cut by 1%"), key("/", "search"),
    ...(pairs ? [key("n p", "next and previous counterfactual"), key("g b", "good, broken")] : []));

  // ---- the page -----------------------------------------------------------------------------------
  const field = (name, ...nodes) => element("label", {}, name, ...nodes);
  document.getElementById("reviewer").append(
    element("div", { className: "panel cutter" },
      element("div", { className: "tools" }, field("Cut by", statistic), element("div", { className: "slide" }, element("label", { htmlFor: "cut", textContent: "Share below the cut" }), slider), threshold),
      place, cards,
      element("div", { className: "tools" }, element("span", { className: "caption", textContent: "As a command" }), command, copy, save)),
    ...(data.note ? [element("p", { className: "caption", textContent: data.note })] : []),
    help, status,
    element("div", { className: "two" },
      element("div", { className: "panel left" }, element("div", { className: "tools" }, field("Show", view), field("Source", source), field("Search", search)), counted, entries, element("div", { className: "tools" }, back, on)),
      shown));
  (async () => {
    histogram = await ask("histogram", query()) ?? histogram;
    await refresh();
    await load();
    if (pairs) await openPair(0);
  })();
})();
