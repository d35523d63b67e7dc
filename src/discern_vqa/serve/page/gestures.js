// What the mouse, a finger or two do on the image. Nothing needs dragging: a click with "pan" brings a place to the
// middle, two clicks with "length" are its ends, and the window has fields of its own.

const ZOOM = 1.25;
const STILL = 4; // CSS pixels that a click may wander

export class Gestures {
  /** viewer: the Viewer; slice(step): shows another slice, false where there is none. */
  constructor(viewer, slice) {
    this.viewer = viewer;
    this.slice = slice;
    this.tool = "window";
    this.isSpaceDown = false;
    this.pointers = new Map();
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.#pressed(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#released(event));
    canvas.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** The tool of the main mouse button: window, pan or length. */
  choose(tool) {
    this.tool = tool;
    this.begun = null;
  }

  #place(event) {
    const box = this.viewer.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #pressed(event) {
    const { viewer } = this;
    if (!viewer.frame) return;
    viewer.canvas.setPointerCapture(event.pointerId);
    const place = this.#place(event);
    this.pointers.set(event.pointerId, place);
    const isPan = this.isSpaceDown || event.button === 1 || event.button === 2;
    this.drag = { tool: isPan ? "pan" : this.tool, start: place, range: { ...viewer.range }, moved: false };
    if (event.button === 1) event.preventDefault();
  }

  #moved(event) {
    const { viewer, pointers } = this;
    const before = pointers.get(event.pointerId), place = this.#place(event);
    if (!before) {
      if (this.begun) viewer.measure([this.begun, viewer.inImage(place)]);
      return;
    }
    if (pointers.size === 2) this.#pinch(event.pointerId, before, place);
    pointers.set(event.pointerId, place);
    if (pointers.size > 1) return;
    const { drag } = this;
    const across = place.x - drag.start.x, down = place.y - drag.start.y;
    if (!drag.moved && Math.hypot(across, down) < STILL) return;
    drag.moved = true;
    if (drag.tool === "pan") viewer.pan(place.x - before.x, place.y - before.y);
    else if (drag.tool === "length") viewer.measure([viewer.inImage(drag.start), viewer.inImage(place)]);
    else if (viewer.hasWindow) this.#windowBy(across, down);
  }

  // To the right wider, down darker: what radiologists know.
  #windowBy(across, down) {
    const { low, high } = this.drag.range;
    const { frame } = this.viewer;
    const gain = Math.max(high - low, (frame.high - frame.low) / 4) / 300;
    const isWhole = gain >= 0.05;
    const tidy = isWhole ? Math.round : (number) => number;
    const width = Math.max(isWhole ? 1 : 1e-6, tidy(high - low + across * gain));
    const centre = tidy((low + high) / 2 + down * gain);
    this.viewer.window(centre - width / 2, centre + width / 2);
  }

  #pinch(id, before, place) {
    const [other] = [...this.pointers].filter(([key]) => key !== id).map(([, value]) => value);
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    this.viewer.zoom(apart(place) / apart(before), (place.x + other.x) / 2, (place.y + other.y) / 2);
    this.viewer.pan((place.x - before.x) / 2, (place.y - before.y) / 2);
    this.drag.moved = true;
  }

  #released(event) {
    const place = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!place || event.type === "pointercancel" || this.drag.moved) return;
    const point = this.viewer.inImage(place);
    if (this.drag.tool === "pan") this.viewer.centre(point.x, point.y);
    else if (this.drag.tool === "length") {
      if (this.begun) this.viewer.measure([this.begun, point]);
      this.begun = this.begun ? null : point;
    }
  }

  #wheeled(event) {
    if (!this.viewer.frame) return;
    const { x, y } = this.#place(event);
    if (event.ctrlKey) this.viewer.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, x, y);
    else if (!this.slice(Math.sign(event.deltaY))) return; // an image without slices leaves the wheel to the page
    event.preventDefault();
  }
}
