// The image on a canvas: window, zoom, pan, length, marks of the sides and the heat map. It asks no server anything.
//
// Places are in columns of the image: x to the right, y down. Where pixels are not square, a row is `aspect` columns high.

import { lookupTable, pixelsOf } from "./greys.js";

const MOST_ZOOM = 40;
const SQUARES_FROM = 3; // from so many screen pixels to an image pixel on, pixels are shown as squares

export class Viewer {
  /**
   * canvas: where the image is drawn; told(): called after the window, the zoom or the length changed; caption(length):
   * what is written beside a length.
   */
  constructor(canvas, told, caption) {
    Object.assign(this, { canvas, told, caption });
    this.frame = null;
    this.native = document.createElement("canvas");
    this.overlay = null;
    this.opacity = 0.5;
    this.clear();
    new ResizeObserver(() => this.#resized()).observe(canvas);
  }

  /** Shows nothing. */
  clear() {
    this.frame = null;
    this.values = null;
    this.overlay = null;
    this.line = null;
    this.marks = {};
    this.isInverted = false;
    this.#redraw();
  }

  /**
   * Shows a frame of stored values, or of colours.
   *
   * frame: {columns, rows, aspect, across (mm between two columns, null where not stated), slope, intercept,
   * swapped, low, high}; values: a Uint16Array of rows * columns, or an ImageBitmap. The view stays where the size stays.
   */
  show(frame, values) {
    const before = this.frame;
    const isSameSize = before && before.columns === frame.columns && before.rows === frame.rows;
    this.frame = frame;
    this.values = values;
    this.native.width = frame.columns;
    this.native.height = frame.rows;
    if (values instanceof ImageBitmap) this.native.getContext("2d").drawImage(values, 0, 0);
    if (!isSameSize) {
      this.line = null;
      this.fit();
    }
    if (!before) this.range = { low: frame.low, high: frame.high };
    this.#shade();
  }

  get hasWindow() {
    return this.frame !== null && !(this.values instanceof ImageBitmap);
  }

  /** Window from `low` (black) to `high` (white). */
  window(low, high) {
    this.range = { low, high };
    this.#shade();
    this.told();
  }

  invert() {
    this.isInverted = !this.isInverted;
    this.#shade();
    this.told();
  }

  /** The file's window and the whole image, without length. */
  reset() {
    if (!this.frame) return;
    this.isInverted = false;
    this.line = null;
    this.fit();
    this.window(this.frame.low, this.frame.high);
  }

  fit() {
    if (!this.frame) return;
    const { width, height } = this.#size();
    this.isFitted = true;
    this.scale = Math.min(width / this.frame.columns, height / (this.frame.rows * this.frame.aspect)) || 1;
    this.centre(this.frame.columns / 2, (this.frame.rows * this.frame.aspect) / 2);
  }

  /** One pixel of the image to one of the screen. */
  actualSize() {
    this.#zoomTo(1 / devicePixelRatio);
  }

  /** factor: above 1 nearer. x, y: what stays in its place, in CSS pixels of the canvas; without them the middle. */
  zoom(factor, x = this.#size().width / 2, y = this.#size().height / 2) {
    this.#zoomTo(this.scale * factor, x, y);
  }

  pan(x, y) {
    this.isFitted = false;
    this.x += x;
    this.y += y;
    this.#redraw();
  }

  /** An image (canvas) laid over the whole image, or null. */
  cover(overlay, opacity) {
    this.overlay = overlay;
    this.opacity = opacity;
    this.#redraw();
  }

  /** marks: {left, right, top, bottom}, a text each, where known. */
  mark(marks) {
    this.marks = marks;
    this.#redraw();
  }

  measure(line) {
    this.line = line;
    this.#redraw();
    this.told();
  }

  /** {pixels, mm} of the drawn length, null without one; mm is null where the file states no spacing. */
  get length() {
    if (!this.line) return null;
    const [from, to] = this.line;
    const pixels = Math.hypot(to.x - from.x, to.y - from.y);
    return { pixels, mm: this.frame.across === null ? null : pixels * this.frame.across };
  }

  /** The place in the image of {x, y} in CSS pixels of the canvas. */
  inImage({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  #size() {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  #resized() {
    if (this.isFitted) this.fit();
    this.#redraw();
    this.told();
  }

  /** Brings a place of the image to the middle. */
  centre(x, y) {
    const { width, height } = this.#size();
    this.x = width / 2 - x * this.scale;
    this.y = height / 2 - y * this.scale;
    this.#redraw();
  }

  #zoomTo(scale, x = this.#size().width / 2, y = this.#size().height / 2) {
    if (!this.frame) return;
    const next = Math.min(MOST_ZOOM, Math.max(0.02, scale));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.isFitted = false;
    this.#redraw();
    this.told();
  }

  #shade() {
    if (this.hasWindow) {
      const context = this.native.getContext("2d");
      const image = context.createImageData(this.frame.columns, this.frame.rows);
      const table = lookupTable(this.frame, this.range, this.isInverted);
      pixelsOf(this.values, table, new Uint32Array(image.data.buffer));
      context.putImageData(image, 0, 0);
    }
    this.#redraw();
  }

  #redraw() {
    if (this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.#draw();
    });
  }

  #draw() {
    const { width, height } = this.#size();
    const ratio = devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    if (!this.frame) return;
    const wide = this.frame.columns * this.scale, high = this.frame.rows * this.frame.aspect * this.scale;
    // Whole pixels of the screen: at actual size each pixel of the image is then exactly one of the screen.
    const place = [this.x, this.y, wide, high].map((length) => Math.round(length * ratio));
    context.imageSmoothingEnabled = this.scale * ratio < SQUARES_FROM;
    context.imageSmoothingQuality = "high";
    context.filter = this.isInverted && !this.hasWindow ? "invert(1)" : "none";
    context.drawImage(this.native, ...place);
    context.filter = "none";
    if (this.overlay) {
      context.imageSmoothingEnabled = true;
      context.globalAlpha = this.opacity;
      context.drawImage(this.overlay, ...place);
      context.globalAlpha = 1;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#drawMarks(context, width, height);
    if (this.line) this.#drawLine(context);
  }

  #drawMarks(context, width, height) {
    const { left, right, top, bottom } = this.marks;
    context.font = "600 18px system-ui, sans-serif";
    context.textBaseline = "middle";
    const places = [[left, 10, height / 2, "left"], [right, width - 10, height / 2, "right"],
      [top, width / 2, 16, "center"], [bottom, width / 2, height - 16, "center"]];
    for (const [text, x, y, align] of places) {
      context.textAlign = align;
      if (text) outlined(context, text, x, y);
    }
  }

  #drawLine(context) {
    const [from, to] = this.line.map((end) => ({ x: this.x + end.x * this.scale, y: this.y + end.y * this.scale }));
    for (const [colour, wide] of [["#000", 5], ["#ffe14d", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      for (const end of [from, to]) {
        context.moveTo(end.x - 5, end.y);
        context.lineTo(end.x + 5, end.y);
        context.moveTo(end.x, end.y - 5);
        context.lineTo(end.x, end.y + 5);
      }
      context.stroke();
    }
    const right = from.x > to.x ? from : to;
    context.font = "600 15px system-ui, sans-serif";
    context.textAlign = "left";
    outlined(context, this.caption(this.length), right.x + 10, right.y);
  }
}

function outlined(context, text, x, y) {
  context.lineWidth = 4;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}
