// The card of one answer: what was answered and what it is worth, and what can be done with it.

import { button, make, number, t } from "./texts.js";
import { verdict, worth } from "./trust.js";
import { placed } from "./worklist.js";

const SHOWN = 6; // alternatives

/** A bar for a share from 0 to 1; its number stands beside it, so it is hidden from screen readers. */
function bar(share) {
  const filled = make("span");
  filled.style.width = `${100 * share}%`;
  const meter = make("span", { className: "meter" }, filled);
  meter.setAttribute("aria-hidden", "true");
  return meter;
}

/** A score as "83 %"; what is not certain never reads as 0 or 100. */
const percent = (score) => `${score >= 0.995 ? "> 99" : score > 0 && score < 0.005 ? "< 1" : number(100 * score)} %`;

function alternatives(entry) {
  const shown = entry.alternatives.slice(0, SHOWN);
  const rows = shown.map(([text, score]) =>
    make("li", {}, make("span", {}, text), bar(score), make("span", {}, percent(score))));
  const rest = Math.max(0, entry.others + entry.alternatives.length - shown.length);
  if (rest) rows.push(make("li", {}, make("span", { className: "note" }, t("others", { n: number(rest) }))));
  const title = entry.is_calibrated ? t("alternatives") : t("alternatives_uncalibrated");
  return make("details", { open: !entry.abstains }, make("summary", {}, title), make("ul", { className: "bars" }, ...rows));
}

/** What the model says, as elements. own: the reader's own answer before, or "". */
function told(entry, model, own) {
  const said = verdict(entry, model);
  const parts = [make("p", { className: "given" }, said.headline)];
  if (said.why) parts.push(make("p", { className: "why" }, said.why));
  if (said.guess) parts.push(make("p", { className: "guess" }, said.guess));
  if (!said.isUnknown) parts.push(make("p", { className: "trust" }, said.trust));
  if (said.noRate) parts.push(make("p", { className: "note" }, said.noRate));
  else if (!said.isUnknown) parts.push(bar(said.share));
  if (said.set) parts.push(make("p", { className: "set" }, said.set));
  if (own) {
    const isSame = own.trim().toLowerCase() === entry.answer.trim().toLowerCase();
    parts.push(make("p", { className: "own" }, t(isSame ? "own_same" : "own_differs", { answer: own })));
  }
  for (const note of entry.notes ?? []) parts.push(make("p", { className: "note", lang: "en" }, note));
  return [...parts, alternatives(entry)];
}

/** One case as text, for the clipboard. */
export function asText({ entry, model, own, where, count }) {
  const said = verdict(entry, model);
  const lines = [placed(where, count), entry.question, said.headline, said.why, said.guess];
  lines.push(said.isUnknown ? "" : said.trust, said.noRate, said.set);
  if (own) lines.push(t("own", { answer: own }));
  lines.push(`${model.run}, ${t("weights")} ${model.weights_short}. ${t("caution")}`);
  return lines.filter(Boolean).join("\n");
}

/**
 * The card of a case: {entry (of /v1/answers), model (of /v1/model), own (the reader's answer before, or ""), question,
 * where (image, frame and axis), count (of its slices), kind (of its file), whose (patient and study, or "")}.
 *
 * act: {heat(case) -> explanation or null where it was switched off, similar(case) -> cases, correct(case, answer,
 * comment), save(case), store(case) -> count, copy(text)}; each may throw, and then says so itself.
 */
export function card(asked, act, isOneOfSeveral) {
  const { entry, model, own } = asked;
  const about = [placed(asked.where, asked.count), ...(isOneOfSeveral ? [model.run, model.weights_short] : [])].join(" · ");
  const heading = [make("p", { className: "note" }, about), make("h3", {}, entry.question)];
  if (entry.error) {
    const { detail, hint } = entry.error;
    return make("article", { className: "answer" }, ...heading, make("p", { lang: "en" }, `${detail}. ${hint ?? ""}`));
  }
  const extra = make("div");
  const actions = make("div", { className: "actions" });
  const element = make("article", { className: entry.abstains ? "answer unknown" : "answer" },
    ...heading, ...told(entry, model, own), actions, extra);
  if (model.explains.length) actions.append(heatButton(asked, act, extra));
  if (model.similar) actions.append(similarButton(asked, act, extra));
  if (model.corrections) actions.append(disagreeButton(asked, act, extra));
  if (model.dicom.length && asked.kind === "DICOM") actions.append(button(t("save"), () => act.save(asked)));
  if (model.dicomweb && asked.whose) actions.append(storeButton(asked, act, extra));
  actions.append(button(t("copy_one"), () => act.copy(asText(asked))));
  return element;
}

function heatButton(asked, act, extra) {
  const text = make("p", { className: "note heat-worth" });
  const press = button(t("heat"), async () => {
    const explanation = await act.heat(asked, press);
    text.textContent = explanation ? `${t("heat_about", { answer: explanation.explained })} ${worth(explanation)}` : "";
    extra.prepend(text);
  }, { className: "heat" });
  press.setAttribute("aria-pressed", "false");
  return press;
}

function similarButton(asked, act, extra) {
  return button(t("similar"), async ({ target }) => {
    const waiting = make("p", { className: "note" }, t("similar_wait"));
    waiting.setAttribute("role", "status");
    target.disabled = true;
    extra.append(waiting);
    const cases = await act.similar(asked);
    waiting.remove();
    target.disabled = Boolean(cases);
    if (!cases) return;
    const rows = cases.map((found) => make("li", {}, make("strong", {}, found.answer), ` — ${found.question}`,
      ...(found.thumbnail ? [make("img", { src: found.thumbnail, alt: found.image })] : []),
      make("div", { className: "note" }, t("similarity", { image: number(found.image_similarity, 2),
        words: number(found.question_similarity, 2), name: found.image }))));
    extra.append(make("h3", {}, t("similar_title")), make("p", { className: "note" }, t("similar_note")),
      make("ol", { className: "cases" }, ...rows));
  });
}

function storeButton(asked, act, extra) {
  return button(t("store"), async () => {
    const count = await act.store(asked);
    if (count) extra.append(make("p", { className: "own" }, t("stored", { n: number(count), who: asked.whose })));
  });
}

function disagreeButton(asked, act, extra) {
  return button(t("disagree"), (event) => {
    event.target.disabled = true;
    const truth = make("input", { type: "text", required: true, maxLength: 1000, value: asked.own });
    truth.setAttribute("list", "answer-list");
    const comment = make("input", { type: "text", maxLength: 1000 });
    const form = make("form", { onsubmit: async (submitted) => {
      submitted.preventDefault();
      const isSaved = await act.correct(asked, truth.value, comment.value);
      if (isSaved) form.replaceWith(make("p", { className: "own" }, t("corrected", { answer: truth.value })));
    } }, make("label", {}, t("truth"), make("span", { className: "line" }, truth)),
    make("label", {}, t("comment"), make("span", { className: "line" }, comment)),
    make("p", { className: "note" }, t("correction_note")), make("button", { className: "primary" }, t("correct")));
    extra.append(form);
    truth.focus();
  }, { className: "disagree" });
}

/** The reader answers first: a form that calls `reveal(own answer)`. */
export function ownFirst(question, reveal) {
  const own = make("input", { type: "text", required: true, maxLength: 1000 });
  own.setAttribute("list", "answer-list");
  const form = make("form", { className: "answer", onsubmit: (event) => {
    event.preventDefault();
    reveal(own.value.trim());
  } }, make("h3", {}, question), make("label", {}, t("own_first"), make("span", { className: "line" }, own)),
  make("button", { className: "primary" }, t("reveal")));
  return { form, own };
}
