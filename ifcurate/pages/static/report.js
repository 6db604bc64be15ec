"use strict";
// The report: its charts, the pairs of examples, and the table with search and sorting.
(() => {
  const { data, element, visible, drawAll, example, label, signed, plain, number } = ifcurate;
  const rows = data.examples;
  const PAGE = 50;

  // ---- one example in a dialog -------------------------------------------------------
  const title = element("h3", { id: "dialog-title" });
  const body = element("div", { className: "body" });
  const older = element("button", { type: "button", textContent: "Previous", title: "Key: k" });
  const newer = element("button", { type: "button", textContent: "Next", title: "Key: j" });
  const close = element("button", { type: "button", textContent: "Close", title: "Key: Escape" });
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" }, element("div", { className: "bar" }, title, older, newer, close), body);
  document.body.append(dialog);
  let order = rows.map((_, i) => i);
  let at = 0;
  function open(place) {
    at = Math.max(0, Math.min(order.length - 1, place));
    const row = rows[order[at]];
    title.replaceChildren(...visible(row.id));
    body.replaceChildren(example(row));
    older.disabled = at === 0;
    newer.disabled = at === order.length - 1;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  older.addEventListener("click", () => open(at - 1));
  newer.addEventListener("click", () => open(at + 1));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "j" || event.key === "ArrowDown" && event.altKey) open(at + 1);
    if (event.key === "k" || event.key === "ArrowUp" && event.altKey) open(at - 1);
  });
  function openRow(index) {
    const place = order.indexOf(index);
    if (place < 0) { order = rows.map((_, i) => i); open(index); } else open(place);
  }

  drawAll({ losses: { click: (event) => { if (event.value?.[2] >= 0) openRow(event.value[2]); } } });

  // ---- kept and dropped, side by side --------------------------------------------------
  const pairs = document.getElementById("pairs");
  if (pairs) {
    const column = (name, list) => element("div", {}, element("h3", { textContent: name }),
      ...list.map((i) => element("div", { className: "panel" }, example(rows[i]))),
      ...(list.length ? [] : [element("p", { className: "caption", textContent: "None." })]));
    pairs.classList.add("pairs");
    pairs.append(column("Kept", data.pairs.kept), column("Dropped", data.pairs.dropped));
  }

  // ---- the table -----------------------------------------------------------------------
  const place = document.getElementById("browser");
  if (!place) return;
  const COLUMNS = [
    ["id", "Example", null], ["label", "Label", null], ["gain", "Gain", signed], ["without", "Loss without", plain],
    ["with", "Loss with", plain], ["tokens", "Tokens", number], ["source", "Source", null],
  ];
  const state = { words: "", label: "", source: "", by: "", down: true, page: 0 };
  const choice = (name, key) => {
    const values = [...new Set(rows.map((row) => row[key]))].sort();
    const select = element("select", {}, element("option", { value: "", textContent: "all" }),
      ...values.map((value) => element("option", { value, textContent: value.length > 60 ? "…" + value.slice(-59) : value })));
    select.addEventListener("change", () => { state[key] = select.value; state.page = 0; show(); });
    return element("label", {}, name, select);
  };
  const search = element("input", { type: "search", placeholder: "words of the text, or an id" });
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { state.words = search.value.toLowerCase(); state.page = 0; show(); }, 120);
  });
  const counted = element("span", { className: "count", role: "status" });
  const head = element("tr");
  const lines = element("tbody");
  const back = element("button", { type: "button", textContent: "Previous page" });
  const on = element("button", { type: "button", textContent: "Next page" });
  back.addEventListener("click", () => { state.page--; show(); });
  on.addEventListener("click", () => { state.page++; show(); });
  for (const [key, name, format] of COLUMNS) {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () => {
      state.down = state.by === key ? !state.down : Boolean(format);
      state.by = key;
      state.page = 0;
      show();
    });
    head.append(element("th", { scope: "col", className: format ? "number" : "", data: { key } }, button));
  }
  place.classList.add("panel");
  place.append(
    element("div", { className: "tools" }, element("label", {}, "Search", search), choice("Label", "label"), choice("Source", "source"), counted),
    element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Examples" }, element("table", {}, element("thead", {}, head), lines)),
    element("div", { className: "tools" }, back, on));

  const haystacks = new Map();
  function haystack(row, i) {
    if (!haystacks.has(i)) {
      const texts = (row.text?.parts ?? []).flatMap(([, parts]) => parts.map((p) => p[0]));
      const response = (row.text?.response ?? []).map((p) => p[0]);
      haystacks.set(i, [row.id, row.preview, ...texts, ...response].join("\n").toLowerCase());
    }
    return haystacks.get(i);
  }
  function show() {
    order = rows.map((_, i) => i).filter((i) => (!state.label || rows[i].label === state.label)
      && (!state.source || rows[i].source === state.source) && (!state.words || haystack(rows[i], i).includes(state.words)));
    if (state.by) {
      const sign = state.down ? -1 : 1;
      order.sort((a, b) => {
        const [x, y] = [rows[a][state.by], rows[b][state.by]];
        if (x == null || y == null) return (x == null) - (y == null);
        return (x < y ? -1 : x > y ? 1 : 0) * sign;
      });
    }
    for (const cell of head.children) {
      cell.setAttribute("aria-sort", cell.dataset.key === state.by ? (state.down ? "descending" : "ascending") : "none");
    }
    const first = state.page * PAGE;
    counted.textContent = order.length ? `${(first + 1).toLocaleString("en")}–${Math.min(first + PAGE, order.length).toLocaleString("en")} of ${order.length.toLocaleString("en")} shown examples` : "no example matches";
    back.disabled = state.page === 0;
    on.disabled = first + PAGE >= order.length;
    lines.replaceChildren(...order.slice(first, first + PAGE).map((index, n) => line(rows[index], first + n)));
  }
  function line(row, n) {
    const name = element("button", { type: "button", className: "link" }, element("bdi", {}, ...visible((row.preview || row.id).slice(0, 140))));
    const cells = COLUMNS.map(([key, , format]) => {
      const cell = element("td", { className: format ? "number" : "" });
      if (key === "id") cell.append(name);
      else if (key === "label") cell.append(label(row.label));
      else cell.append(...(format ? [format(row[key])] : [element("bdi", {}, ...visible(row[key]))]));
      return cell;
    });
    const tr = element("tr", { className: "open" }, ...cells);
    tr.addEventListener("click", () => open(n));
    return tr;
  }
  show();
})();
