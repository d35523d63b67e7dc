// The left side of the page: the image of the service on the viewer, with the controls around it.

import * as api from "./api.js";
import { Gestures } from "./gestures.js";
import { CT_WINDOWS } from "./greys.js";
import { make, number, t } from "./texts.js";
import { Viewer } from "./viewer.js";
import { whose } from "./worklist.js";

const $ = (id) => document.getElementById(id);
const STEP = 1.25;
const FAR = 60; // CSS pixels that an arrow key moves the image

export class ImagePanel {
  /** attempt(act): runs it and says what went wrong. changed(): called when another image or frame is shown. */
  constructor(attempt, changed) {
    this.attempt = attempt;
    this.changed = changed;
    this.image = null;
    this.isSeen = false;
    this.run = "";
    this.viewer = new Viewer($("canvas"), () => this.#tell(), ({ pixels, mm }) =>
      mm === null ? t("pixels", { n: number(pixels) }) : t("mm", { n: number(mm, 1) }));
    this.gestures = new Gestures(this.viewer, (step) => this.count > 1 && (attempt(() => this.slice(this.number + step)), true));
    this.#wire();
  }

  /** What the service calls the frame that is shown; null without one. */
  get where() {
    if (!this.image) return null;
    return { image: this.image.id, frame: this.number, ...(this.axis && { axis: this.axis }) };
  }

  /** How many frames or slices there are to scroll through. */
  get count() {
    return this.image ? (this.image.axes?.[this.axis] ?? this.image.frames) : 0;
  }

  async open(image, where = {}) {
    this.image = image;
    this.axis = where.axis ?? Object.keys(image.axes ?? {})[0] ?? "";
    this.number = where.frame ?? image.frame ?? 1;
    this.isSeen = false;
    this.viewer.clear();
    this.controls();
    await this.#load();
  }

  close() {
    this.image = null;
    this.viewer.clear();
    this.controls();
    this.changed();
  }

  slice(wanted) {
    this.number = Math.min(this.count, Math.max(1, wanted));
    this.#slices();
    return this.#load();
  }

  /** The heat map `canvas` over the image, or none. */
  cover(canvas) {
    this.heat = canvas;
    $("heat").hidden = !canvas;
    this.viewer.cover(canvas && !this.isSeen ? canvas : null, Number($("opacity").value) / 100);
  }

  async showSeen(isSeen) {
    if (!this.image) return;
    this.isSeen = isSeen;
    this.viewer.clear();
    this.cover(null);
    await this.#load();
  }

  tool(name) {
    this.gestures.choose(name);
    document.querySelector(`[name="tool"][value="${name}"]`).checked = true;
    this.#tell();
  }

  /** What a key does here; false where it does nothing. */
  key(event) {
    const { viewer } = this;
    const arrows = { ArrowUp: [0, FAR], ArrowDown: [0, -FAR], ArrowLeft: [FAR, 0], ArrowRight: [-FAR, 0] };
    if (event.shiftKey && arrows[event.key]) return viewer.pan(...arrows[event.key]), true;
    const acts = {
      r: () => viewer.reset(), i: () => viewer.invert(), f: () => viewer.fit(), 1: () => viewer.actualSize(),
      "+": () => viewer.zoom(STEP), "-": () => viewer.zoom(1 / STEP),
      w: () => this.tool("window"), p: () => this.tool("pan"), l: () => this.tool("length"),
      s: () => this.attempt(() => this.showSeen(!this.isSeen)),
      ArrowUp: () => this.slice(this.number - 1), ArrowDown: () => this.slice(this.number + 1),
      Home: () => this.slice(1), End: () => this.slice(this.count),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || !this.image || (event.key.length > 1 && this.count < 2)) return false;
    act();
    return true;
  }

  /** Fills and shows what belongs to the image; again in another language. */
  controls() {
    const { image } = this;
    for (const id of ["tools", "close"]) $(id).hidden = !image;
    $("drop").hidden = Boolean(image);
    $("done").hidden = !image?.steps?.length;
    $("steps").replaceChildren(...(image?.steps ?? []).map((step) => make("li", {}, step)));
    const words = image ? whose(image) : "";
    $("who").hidden = !words;
    $("who").textContent = words && t("who", { who: words });
    const axes = Object.keys(image?.axes ?? {});
    $("axes").hidden = axes.length < 2;
    $("axis").replaceChildren(...axes.map((axis) => make("option", { value: axis, selected: axis === this.axis }, t(axis))));
    this.#presets();
    this.#slices();
    this.#tell();
    if (this.image && this.viewer.frame) this.#warn(); // in another language
  }

  async #load() {
    if (this.isLoading) return; // the frame that is wanted when this one has come is loaded then
    this.isLoading = true;
    try {
      let loaded = "";
      while (this.image && loaded !== this.#wanted()) {
        loaded = this.#wanted();
        const { image, number: frame, axis, isSeen } = this;
        const got = await (isSeen ? api.seen(image.id, { frame, axis, run: this.run }) : api.frame(image.id, frame, axis));
        if (loaded !== this.#wanted()) continue;
        this.viewer.show(got.frame, got.values);
        this.cover(null);
        this.#warn();
        this.#tell();
        this.changed();
      }
    } catch (problem) {
      this.viewer.clear(); // never another slice than the number says
      throw problem;
    } finally {
      this.isLoading = false;
    }
  }

  #wanted() {
    return JSON.stringify([this.image?.id, this.number, this.axis, this.isSeen, this.isSeen && this.run]);
  }

  #warn() {
    const usual = !this.axis || this.axis === Object.keys(this.image.axes)[0];
    const sides = usual && !this.isSeen ? this.image.sides : null;
    this.viewer.mark(sides ?? {});
    const own = this.isSeen ? [t("seen_note")] : [];
    if (!sides?.left && !this.isSeen) own.push(t("no_sides"));
    const theirs = this.image.warnings.map((warning) => make("li", { lang: "en" }, warning));
    $("warnings").replaceChildren(...own.map((words) => make("li", {}, words)), ...theirs);
  }

  #presets() {
    const names = this.image?.windows ?? [];
    const options = [["file", t("preset_file")], ...names.filter((name) => CT_WINDOWS[name]).map((name) => [name, t(`w_${name}`)]),
      ["own", t("preset_own")]];
    $("preset").replaceChildren(...options.map(([value, words]) => make("option", { value, hidden: value === "own" }, words)));
  }

  #slices() {
    $("slices").hidden = this.count < 2;
    const slider = $("slice");
    slider.max = this.count;
    slider.value = this.number ?? 1;
    $("slice-text").textContent = t("slice", { n: number(this.number ?? 1), count: number(this.count) });
    slider.setAttribute("aria-valuetext", $("slice-text").textContent);
  }

  #tell() {
    const { viewer } = this;
    const hasWindow = viewer.hasWindow && !this.isSeen;
    $("windows").hidden = !hasWindow;
    $("seen").setAttribute("aria-pressed", String(this.isSeen));
    $("invert").setAttribute("aria-pressed", String(viewer.isInverted));
    if (!viewer.frame) return void ($("status").textContent = "");
    const parts = [t("zoom", { n: number(100 * viewer.scale * devicePixelRatio) })];
    if (hasWindow) {
      const { low, high } = viewer.range;
      const digits = high - low < 10 ? 3 : 1;
      for (const [id, value] of [["centre", (low + high) / 2], ["width", high - low]]) {
        if (document.activeElement !== $(id)) $(id).value = Number(value.toFixed(digits));
      }
      const usual = viewer.frame;
      const preset = Object.entries(CT_WINDOWS).find(([, [centre, width]]) => low === centre - width / 2 && high === centre + width / 2);
      $("preset").value = low === usual.low && high === usual.high ? "file" : (preset?.[0] ?? "own");
      if (!$("preset").value) $("preset").value = "own";
    }
    const { length } = viewer;
    if (length?.mm === null) parts.push(t("length_pixels", { n: number(length.pixels) }));
    else if (length) parts.push(t("length_mm", { n: number(length.mm, 1) }));
    else if (this.gestures.tool === "length") parts.push(t(viewer.frame.across === null ? "length_how_pixels" : "length_how"));
    $("status").textContent = parts.join(" · ");
  }

  #wire() {
    const { viewer } = this;
    const clicks = {
      nearer: () => viewer.zoom(STEP), farther: () => viewer.zoom(1 / STEP), fit: () => viewer.fit(),
      actual: () => viewer.actualSize(), invert: () => viewer.invert(), reset: () => viewer.reset(),
      seen: () => this.showSeen(!this.isSeen), previous: () => this.slice(this.number - 1), next: () => this.slice(this.number + 1),
    };
    for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", () => this.attempt(act));
    for (const radio of document.getElementsByName("tool")) {
      radio.addEventListener("change", () => this.tool(radio.value));
    }
    $("slice").addEventListener("input", () => this.attempt(() => this.slice(Number($("slice").value))));
    $("axis").addEventListener("change", () => this.attempt(() => {
      this.axis = $("axis").value;
      this.viewer.clear();
      return this.slice(Math.ceil(this.count / 2));
    }));
    $("opacity").addEventListener("input", () => this.cover(this.heat));
    $("preset").addEventListener("change", () => {
      const [centre, width] = CT_WINDOWS[$("preset").value] ?? [];
      if (width) viewer.window(centre - width / 2, centre + width / 2);
      else viewer.window(viewer.frame.low, viewer.frame.high);
    });
    for (const id of ["centre", "width"]) {
      $(id).addEventListener("change", () => {
        const [centre, width] = [$("centre").valueAsNumber, $("width").valueAsNumber];
        if (Number.isFinite(centre) && width > 0) viewer.window(centre - width / 2, centre + width / 2);
      });
    }
    for (const [name, isDown] of [["keydown", true], ["keyup", false]]) {
      $("canvas").addEventListener(name, (event) => {
        if (event.key !== " ") return;
        this.gestures.isSpaceDown = isDown;
        event.preventDefault();
      });
    }
  }
}
