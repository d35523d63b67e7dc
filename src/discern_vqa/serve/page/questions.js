// The right side of the page: the question, the cards of its answers, and what was asked before in this tab.

import * as answer from "./answer.js";
import * as api from "./api.js";
import { coloured } from "./heat.js";
import { button, make, t } from "./texts.js";
import { verdict } from "./trust.js";
import { placed, whose } from "./worklist.js";

const $ = (id) => document.getElementById(id);

export class Questions {
  /**
   * panel: the ImagePanel; attempt(act): runs it and says what went wrong, false then; models(): the models to ask, of
   * /v1/model; open(where): shows that image and frame; asked(): called after each answer.
   */
  constructor(panel, attempt, models, open, asked) {
    Object.assign(this, { panel, attempt, models, open, asked });
    this.history = []; // in memory alone: it goes with the tab
    this.heated = null;
    $("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask($("question").value.trim());
    });
    $("heat-off").addEventListener("click", () => this.cool());
    $("copy").addEventListener("click", () => this.#copy(this.history.flatMap((turn) => turn.cases).map(answer.asText).join("\n\n")));
  }

  ask(question) {
    const { where } = this.panel;
    return this.attempt(async () => {
      if (!where) throw new api.Problem(0, t("no_image"), t("no_image_hint"));
      if (!question) return;
      if (!$("second").checked) return this.#answer(question, where, "");
      const { form, own } = answer.ownFirst(question, (mine) => this.attempt(() => this.#answer(question, where, mine)));
      $("answers").replaceChildren(form);
      own.focus();
    });
  }

  /** Asks the same of every image, and shows nothing: the worklist does. */
  async askAll(question, images) {
    const [model] = this.models();
    for (const image of images) await api.answers({ image: image.id, questions: [question], run: model.run });
  }

  suggest(questions) {
    $("suggestions").replaceChildren(...questions.map(({ text }) => button(text, () => {
      $("question").value = text;
      this.ask(text);
    })));
  }

  /** Takes the heat map away. */
  cool() {
    this.heated?.setAttribute("aria-pressed", "false");
    this.heated = null;
    this.panel.cover(null);
  }

  /** Draws cards and history again, in another language; a heat map stays. */
  speak() {
    this.#list();
    if (!this.shown) return;
    const heated = [...$("answers").querySelectorAll(".heat")].indexOf(this.heated);
    this.#show(this.shown);
    if (heated >= 0) $("answers").querySelectorAll(".heat")[heated].click();
  }

  /** Takes the cards away; an answer that is on its way is then listed, and not shown for another image. */
  clear() {
    this.shown = this.latest = null;
    $("answers").replaceChildren();
  }

  async #answer(question, where, own) {
    const mine = (this.latest = {});
    const { image, count } = this.panel; // now: another one may be shown when the answer comes
    const about = { own, where, question, count, kind: image.kind, whose: whose(image) };
    $("send").disabled = true;
    try {
      const models = this.models();
      const replies = await Promise.all(models.map((model) => api.answers({ ...where, questions: [question], run: model.run })));
      const cases = replies.map((reply, index) => ({ ...about, entry: reply.answers[0], model: models[index] }));
      const turn = { question, where, cases };
      const isAnswered = cases.every(({ entry }) => !entry.error);
      if (isAnswered) this.history.push(turn);
      this.#list();
      this.asked();
      if (this.latest !== mine) return;
      this.#show(turn);
      if ($("answers").getBoundingClientRect().top > innerHeight - 160) $("answers").scrollIntoView();
      $("news").textContent = cases.map((asked) => (asked.entry.error ? asked.entry.error.detail : this.#headline(asked, true))).join(" ");
    } finally {
      $("send").disabled = false;
    }
  }

  #headline({ entry, model }, isLong) {
    const said = verdict(entry, model);
    return isLong ? `${said.headline}. ${said.why || said.trust}` : said.headline;
  }

  #show(turn) {
    this.cool();
    this.shown = turn;
    const act = {
      heat: (asked, press) => this.#heat(asked, press),
      similar: (asked) => this.#get(() => api.similar(this.#about(asked))).then((got) => got?.cases),
      correct: (asked, truth, comment) => this.#correct(asked, truth, comment),
      save: (asked) => this.#save(asked),
      store: (asked) => this.#store(asked),
      copy: (text) => this.#copy(text),
    };
    $("answers").replaceChildren(...turn.cases.map((asked) => answer.card(asked, act, turn.cases.length > 1)));
  }

  #list() {
    $("history").hidden = !this.history.length;
    const rows = [...this.history].reverse().map((turn) => make("li", {}, button(
      `${placed(turn.where, turn.cases[0].count)}: ${turn.question} — ${turn.cases.map((asked) => this.#headline(asked)).join(" / ")}`,
      () => this.attempt(async () => {
        await this.open(turn.where);
        this.#show(turn);
      }))));
    $("asked").replaceChildren(...rows);
  }

  #about(asked) {
    return { ...asked.where, question: asked.question, run: asked.model.run };
  }

  /** What `act` gives; null where it failed, which is said. */
  async #get(act) {
    let got = null;
    await this.attempt(async () => (got = await act()));
    return got;
  }

  async #heat(asked, press) {
    if (this.heated === press) {
      this.cool();
      return null;
    }
    const got = await this.#get(async () => {
      await this.open(asked.where);
      const explanation = await api.explanation(this.#about(asked));
      return { explanation, canvas: await coloured(explanation.map) };
    });
    if (!got) return null;
    this.cool();
    this.heated = press;
    press.setAttribute("aria-pressed", "true");
    this.panel.cover(got.canvas);
    return got.explanation;
  }

  async #correct(asked, truth, comment) {
    const { entry } = asked;
    const given = { ...this.#about(asked), answer: truth, model_answer: entry.answer, confidence: entry.confidence };
    if (asked.own) given.before_seeing = asked.own;
    if (comment) given.comment = comment;
    const isSent = Boolean(await this.#get(() => api.correction(given)));
    if (isSent) this.asked();
    return isSent;
  }

  #save(asked) {
    return this.attempt(async () => {
      const content = await api.dicom(this.#about(asked));
      const address = URL.createObjectURL(content);
      make("a", { href: address, download: "discern-dicom.zip" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may ask where to first
    });
  }

  /** How many objects the archive took; 0 where the reader did not want it, or it failed. */
  async #store(asked) {
    if (!confirm(t("store_confirm", { who: asked.whose }))) return 0;
    const got = await this.#get(() => api.stored({ ...this.#about(asked), store: true }));
    return got ? got.stored.length : 0;
  }

  #copy(text) {
    return this.attempt(async () => {
      if (!navigator.clipboard) throw new api.Problem(0, t("no_clipboard"), t("no_clipboard_hint"));
      await navigator.clipboard.writeText(text);
      $("news").textContent = t("copied");
    });
  }
}
