// Where the page starts: the model, the images, the settings, the worklist and the keys.

import * as api from "./api.js";
import { ImagePanel } from "./image_panel.js";
import { Questions } from "./questions.js";
import { load, make, number, speak, t } from "./texts.js";
import { named, ordered, Worklist } from "./worklist.js";

const $ = (id) => document.getElementById(id);
const SETTINGS = { language: "value", theme: "value", second: "checked", shortcuts: "checked" };

const store = settingsStore();

let model = null;
let versus = null;
let images = [];

const panel = new ImagePanel(attempt, () => questions.cool());
const questions = new Questions(panel, attempt, () => (versus ? [model, versus] : [model]), show, () => attempt(refresh));
const worklist = new Worklist($("studies"), (row) => attempt(() => openRow(row)), () => $("second").checked);

/** Runs `act`; says what went wrong, and what to do next. False then. */
async function attempt(act) {
  try {
    await act();
    $("fault").hidden = true;
    return true;
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    if (problem.status === 401) $("key-dialog").showModal();
    const lang = problem.status ? "en" : document.documentElement.lang; // what comes from the service is English
    const [detail, hint] = problem.status === 404 ? [t("gone"), t("gone_hint")] : [problem.message, problem.hint];
    $("fault").replaceChildren(make("strong", { lang }, detail), " ", make("span", { lang }, hint));
    $("fault").hidden = false;
    return false;
  }
}

async function start() {
  while (!(await isReady())) await new Promise((wake) => setTimeout(wake, 2000));
  await useModel();
  images = await api.images();
  listImages();
  await refresh();
}

/** Whether the models are loaded; the reader is told that they are not. */
async function isReady() {
  const isLoaded = await api.isReady();
  $("loading").hidden = isLoaded;
  return isLoaded;
}

async function useModel(run) {
  model = await api.model(run);
  panel.run = model.run;
  const names = model.runs.map((name) => make("option", { value: name, selected: name === model.run }, name));
  $("run").replaceChildren(...names);
  const others = model.runs.filter((name) => name !== model.run);
  $("versus-line").hidden = !others.length;
  $("versus").replaceChildren($("versus").options[0], ...others.map((name) => make("option", { value: name }, name)));
  versus = null;
  $("study-form").hidden = $("day-form").hidden = !model.dicomweb;
  aboutModel();
  const known = await api.suggestions(model.run);
  questions.suggest(known.questions);
  $("answer-list").replaceChildren(...known.answers.map((value) => make("option", { value })));
}

async function add(found) {
  const known = new Set(found.map((image) => image.id));
  images = [...found, ...images.filter((image) => !known.has(image.id))];
  listImages();
  await show({ image: found[0].id });
  await refresh();
}

/** Lists the series of a study of the archive; the only one is opened, of several the reader chooses. */
async function openStudy(study) {
  const found = await api.series(study);
  $("series-line").hidden = found.length < 2;
  const about = ({ modality, body_part: part, images: count }) =>
    [modality, part, t("series_images", { n: number(count) })].filter(Boolean).join(", ");
  $("series").replaceChildren(make("option", { value: "" }), 
    ...found.map((one) => make("option", { value: one.series }, about(one))));
  $("series").dataset.study = study;
  if (found.length > 1) return $("series").focus();
  $("series").selectedIndex = 1;
  await openSeries();
}

async function openSeries() {
  await add(await api.fetched($("series").dataset.study, $("series").value));
}

/** Asks the question about the studies of a day in the archive, and puts them on the worklist, the least certain first. */
async function askDay(day) {
  $("day-note").textContent = t("asking_all");
  try {
    const told = await api.nextOfArchive(needed($("question").value), day.replaceAll("-", ""), model.run);
    const order = new Map(told.items.map(({ image }, place) => [image, place]));
    const place = ({ id }) => order.get(id) ?? order.size;
    if (!told.images.length) throw new api.Problem(0, t("day_none"), t("day_none_hint"));
    await add(told.images.sort((one, other) => place(one) - place(other)));
    const counts = { n: number(told.images.length), studies: number(told.studies) };
    const rest = { left: number(told.left_out), failed: number(told.failed.length) };
    const isAll = told.complete && !told.left_out && !told.failed.length;
    $("day-note").textContent = `${t("day_done", counts)} ${isAll ? "" : t("day_some", rest)}`;
  } catch (problem) {
    $("day-note").textContent = "";
    throw problem;
  }
}

/** The question, without spaces around it; an error where there is none. */
function needed(question) {
  if (!question.trim()) throw new api.Problem(0, t("no_question"), t("no_question_hint"));
  return question.trim();
}

const uploaded = (files) => attempt(async () => {
  $("news").textContent = t("reading");
  await add(await api.upload(files));
  $("news").textContent = t("opened");
  // Not on a phone, whose keyboard would cover the image.
  if (matchMedia("(pointer: fine)").matches) $("question").focus({ preventScroll: true });
});

/** Shows the image and frame of `where`, unless it is shown already. */
async function show(where) {
  const image = images.find(({ id }) => id === where.image);
  if (!image) throw new api.Problem(404, t("gone"), t("gone_hint"));
  if (panel.isSeen) await panel.showSeen(false);
  if (!panel.where || panel.where.image !== where.image) {
    questions.clear();
    await panel.open(image, where);
  } else if (where.frame && (where.frame !== panel.number || (where.axis ?? "") !== panel.axis)) await panel.open(image, where);
  listImages();
}

function listImages() {
  $("images").hidden = images.length < (panel.image ? 2 : 1);
  const none = make("option", { value: "", disabled: true, selected: true }, t("held", { n: number(images.length) }));
  $("image-choice").replaceChildren(...(panel.image ? [] : [none]), ...images.map((image) =>
    make("option", { value: image.id, selected: image.id === panel.image?.id }, named(image))));
}

async function refresh() {
  const rows = ordered(images, images.length > 1 ? await api.next(model.run) : []);
  $("worklist").hidden = rows.length < 2;
  worklist.show(rows);
}

async function openRow({ image, item }) {
  await show({ image: image.id, frame: item?.frame });
  if (item) {
    $("question").value = item.question;
    await questions.ask(item.question);
  } else questions.clear();
}

function aboutModel() {
  $("weights").textContent = `${t("weights")} ${model.weights_short}`;
  const share = ({ accuracy, ci95: [low, high], n }) =>
    t("accuracy", { n: number(100 * accuracy, 1), low: number(100 * low, 1), high: number(100 * high, 1), count: number(n) });
  const { figures } = model;
  const rows = [[t("model"), `${model.run} (${model.model}), ${t("weights")} ${model.weights_short}`], [t("learned"), model.dataset],
    [t("answer_count"), number(model.answers)]];
  if (figures) {
    const parts = { all: figures, closed: figures.closed, open: figures.open };
    for (const [name, part] of Object.entries(parts)) if (part?.n) rows.push([`${t(`right_${name}`)} (${figures.split})`, share(part)]);
  } else rows.push([t("right_all"), t("not_evaluated")]);
  rows.push([t("calibrated"), model.calibrated ? t("calibrated_on", { n: number(model.fitted_on.n) }) : t("not_calibrated")]);
  rows.push([t("outside"), t(model.detects_outside ? "outside_yes" : "outside_no")]);
  rows.push([t("corrections"), t(model.corrections ? "corrections_yes" : "corrections_no")]);
  const cells = rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)));
  $("card").replaceChildren(make("table", {}, make("tbody", {}, ...cells)));
  $("limits").replaceChildren(...t("limit_list").split("|").map((words) => make("li", {}, words)));
  $("key-table").replaceChildren(...t("key_list").split("|").map((row) => {
    const [keys, ...words] = row.split("=");
    return make("tr", {}, make("td", {}, make("kbd", {}, keys)), make("td", {}, words.join("=")));
  }));
}

function settle() {
  document.documentElement.dataset.theme = $("theme").value;
  speak($("language").value);
  for (const [id, property] of Object.entries(SETTINGS)) store.setItem(`discern.${id}`, JSON.stringify($(id)[property]));
  if (!model) return;
  aboutModel();
  panel.controls();
  listImages();
  worklist.show(worklist.rows);
  questions.speak();
}

/** Where settings are kept, never a question or an answer; nowhere, where the browser keeps nothing. */
function settingsStore() {
  try {
    return localStorage;
  } catch {
    return { getItem: () => null, setItem() {} };
  }
}

function remembered() {
  $("language").value = navigator.language.startsWith("de") ? "de" : "en";
  for (const [id, property] of Object.entries(SETTINGS)) {
    const value = store.getItem(`discern.${id}`);
    if (value !== null) $(id)[property] = JSON.parse(value);
  }
}

function pressed(event) {
  const { target } = event;
  const isTyping = target.matches("input:not([type=radio]):not([type=checkbox]), select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isOnImage = target === $("canvas");
  if (!$("shortcuts").checked && !isOnImage) return;
  if (event.key.length > 1 && !isOnImage && target !== document.body) return; // arrows belong to the element in focus
  const acts = { j: () => worklist.move(1), k: () => worklist.move(-1), q: () => $("question").focus(),
    h: () => document.querySelector(".heat")?.click(), "?": () => $("about").showModal() };
  const act = acts[event.key.toLowerCase()];
  if (act) act();
  else if (!panel.key(event)) return;
  event.preventDefault();
}

function wire() {
  for (const id of Object.keys(SETTINGS)) $(id).addEventListener("change", settle);
  $("file").addEventListener("change", () => {
    if ($("file").files.length) uploaded([...$("file").files]);
    $("file").value = "";
  });
  $("drop").addEventListener("click", () => $("file").click());
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) uploaded([...event.dataTransfer.files]);
    });
  }
  $("close").addEventListener("click", () => attempt(async () => {
    const { id } = panel.image;
    images = images.filter((image) => image.id !== id);
    panel.close();
    questions.clear();
    listImages();
    await api.forget(id);
    await refresh();
  }));
  $("image-choice").addEventListener("change", () => attempt(() => show({ image: $("image-choice").value })));
  $("ask-all").addEventListener("click", () => attempt(async () => {
    const question = needed($("question").value);
    $("news").textContent = t("asking_all");
    await questions.askAll(question, images);
    await refresh();
  }));
  $("study-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const study = $("study").value.trim();
    attempt(() => ($("series").value && $("series").dataset.study === study ? openSeries() : openStudy(study)));
  });
  $("day-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => askDay($("day").value));
  });
  $("run").addEventListener("change", () => attempt(async () => {
    questions.clear();
    await useModel($("run").value);
    await refresh();
  }));
  $("versus").addEventListener("change", () => attempt(async () => {
    versus = $("versus").value ? await api.model($("versus").value) : null;
  }));
  $("about-open").addEventListener("click", () => $("about").showModal());
  $("about-close").addEventListener("click", () => $("about").close());
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.useKey($("key").value);
    $("key").value = "";
    $("key-dialog").close();
    attempt(start);
  });
  document.addEventListener("keydown", pressed);
}

await load();
remembered();
settle();
panel.controls();
wire();
await attempt(start);
