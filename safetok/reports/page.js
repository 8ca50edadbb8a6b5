"use strict";
(() => {
  const body = document.body;
  const words = JSON.parse(body.dataset.words);
  const place = body.dataset.place;
  const cards = [...document.querySelectorAll("section.card")];
  const HOUR = 3600e3;
  const VIETNAM = 7 * HOUR;
  let state = {};

  try {
    const kept = JSON.parse(localStorage.getItem(place));
    if (kept && typeof kept === "object") state = kept;
  } catch { notKept(); }

  function notKept() {
    const note = document.getElementById("kept");
    note.textContent = words.not_kept;
    note.hidden = false;
  }
  function keep() {
    try { localStorage.setItem(place, JSON.stringify(state)); } catch { notKept(); }
  }
  const said = (word, values) => words[word].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const two = (number) => String(number).padStart(2, "0");

  // Times on this page are Vietnamese time, whatever the computer's zone is.
  const local = (instant) => new Date(instant + VIETNAM);
  const shown = (instant) => {
    const at = local(instant);
    const day = words.weekdays.split(" ")[at.getUTCDay()];
    return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())} ${day} ${two(at.getUTCDate())}/${two(at.getUTCMonth() + 1)}/${at.getUTCFullYear()}`;
  };
  const typed = (instant) => local(instant).toISOString().slice(0, 16);
  const meant = (text) => Date.parse(`${text}:00+07:00`);
  const command = (instant) => {
    const at = local(instant);
    return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())} ${two(at.getUTCDate())}/${two(at.getUTCMonth() + 1)}/${at.getUTCFullYear()}`;
  };
  const left = (span) => {
    const minutes = Math.ceil(span / 60e3);
    return minutes < 60 ? said("minutes", { minutes }) : said("hours", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
  };

  // As the rule counts from the update; null where nobody states a wait, undefined where it needs working days.
  function end(card, at) {
    const { rule, amount, updated, until } = card.dataset;
    if (until && Number(updated) === at) return Number(until);
    if (rule === "hours") return at + Number(amount) * HOUR;
    if (rule === "next_midnight") return Math.floor((at + VIETNAM) / (24 * HOUR) + 1) * 24 * HOUR - VIETNAM;
    return rule === "none" ? null : undefined;
  }

  const boxes = (card) => [...card.querySelectorAll("input[type=checkbox]")];
  const clock = (card) => card.querySelector("input[type=datetime-local]");
  const finished = (card) => boxes(card).every((box) => box.checked);

  function load(card) {
    const mine = state[card.id];
    const recorded = ["updated", "accepted", "rejected"].includes(card.dataset.state);
    for (const box of boxes(card)) box.checked = mine ? Boolean(mine.parts?.[box.dataset.part]) : recorded || box.defaultChecked;
    if (typeof mine?.at === "number") clock(card).value = typed(mine.at);
    else if (!mine && card.dataset.updated) clock(card).value = typed(Number(card.dataset.updated));
    else clock(card).value = "";
  }

  function store(card) {
    const parts = Object.fromEntries(boxes(card).map((box) => [box.dataset.part, box.checked]));
    const at = meant(clock(card).value);
    state[card.id] = { parts, at: Number.isNaN(at) ? null : at };
    keep();
  }

  function moment(card) {
    const at = meant(clock(card).value);
    // The field has minutes; what safetok recorded has seconds.
    const recorded = Number(card.dataset.updated);
    return recorded && Math.floor(recorded / 60e3) * 60e3 === at ? recorded : at;
  }

  function show(card) {
    const done = finished(card);
    const at = moment(card);
    const timer = card.querySelector(".timer");
    const [text, tone, span] = told(card, done, at);
    timer.textContent = text;
    if (span) {
      // Stale on paper.
      const rest = document.createElement("span");
      rest.className = "screen";
      rest.textContent = ` ${said("left", { left: left(span) })}`;
      timer.append(rest);
    }
    // Paper gets the sentence, or a line to write on.
    clock(card).parentElement.classList.toggle("screen", done);
    timer.className = `timer ${tone}${done ? "" : " screen"}`;
    card.classList.toggle("done", done && tone !== "bad");
    card.classList.toggle("wrong", tone === "bad");
    card.classList.toggle("todo", !done && tone !== "bad");
    const tell = card.querySelector(".tell");
    tell.hidden = !done || Number.isNaN(at) || card.dataset.state === "accepted" || at === Number(card.dataset.updated);
    if (!tell.hidden) tell.querySelector("code").textContent = card.dataset.command.replace("{at}", command(at));
  }

  function told(card, done, at) {
    const same = !state[card.id] || at === Number(card.dataset.updated);
    if (same && card.dataset.state === "accepted") return [words.accepted, "good"];
    if (same && card.dataset.state === "rejected") return [words.rejected, "bad"];
    const ticked = boxes(card).filter((box) => box.checked).length;
    if (!done) return [ticked ? said("partly", { done: ticked, all: boxes(card).length }) : words.open, "warn"];
    if (Number.isNaN(at)) return ["", "good"];
    const until = end(card, at);
    if (until === undefined) return [said("counted", { at: shown(at) }), ""];
    if (until === null) return [said("updated", { at: shown(at) }), "good"];
    const span = until - Date.now();
    const day = card.dataset.rule === "hours" && card.dataset.amount === "24";
    const values = { at: shown(at), until: shown(until) };
    if (span > 0) return [said(day ? "waiting" : "until", values), "", span];
    return [said(day ? "over" : "until_over", values), "warn"];
  }

  function showAll() {
    cards.forEach(show);
    document.getElementById("progress").textContent = said("progress", { done: cards.filter(finished).length, all: cards.length });
  }

  for (const card of cards) {
    load(card);
    for (const box of boxes(card)) {
      box.addEventListener("change", () => {
        if (finished(card) && !clock(card).value) clock(card).value = typed(Date.now());
        if (!boxes(card).some((one) => one.checked)) clock(card).value = "";
        store(card);
        showAll();
      });
    }
    clock(card).addEventListener("change", () => { store(card); showAll(); });
    card.querySelector(".tell-copy").addEventListener("click", (event) => {
      copy(event.currentTarget, card.querySelector(".tell code").textContent, card.querySelector(".tell code"));
    });
  }

  async function copy(button, text, place_) {
    const word = button.dataset.word ??= button.textContent;
    const well = (await byClipboard(text)) || bySelection(text);
    if (!well) getSelection().selectAllChildren(place_);
    button.textContent = well ? words.copied : words.select;
    button.classList.toggle("said", well);
    setTimeout(() => { button.textContent = word; button.classList.remove("said"); }, 1500);
  }
  async function byClipboard(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { return false; }
  }
  function bySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    body.append(area);
    area.select();
    try { return document.execCommand("copy"); } catch { return false; } finally { area.remove(); }
  }
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", () => copy(button, button.dataset.copy, button.closest(".row")?.querySelector("pre") ?? button.previousElementSibling));
  }

  document.getElementById("print").addEventListener("click", () => window.print());
  document.getElementById("clear").addEventListener("click", () => {
    if (!confirm(words.sure)) return;
    state = {};
    keep();
    cards.forEach(load);
    showAll();
  });
  addEventListener("storage", (event) => {
    if (event.key !== place) return;
    try { state = JSON.parse(event.newValue) || {}; } catch { return; }
    cards.forEach(load);
    showAll();
  });
  setInterval(showAll, 15e3);
  document.addEventListener("visibilitychange", showAll);
  showAll();
})();
