// Several images in the order in which they need a look: the least certain answer first, then those without an answer.

import { button, make, number, t } from "./texts.js";
import { ofHundred } from "./trust.js";

/** images: of /v1/images; items: of /v1/next, the least certain first; those without an answer go before. Rows of {image, item or null}. */
export function ordered(images, items) {
  const known = new Map(images.map((image) => [image.id, image]));
  const answered = items.filter((item) => known.has(item.image)).sort((one, other) => other.abstains - one.abstains)
    .map((item) => ({ image: known.get(item.image), item }));
  const seen = new Set(items.map((item) => item.image));
  return [...answered, ...images.filter((image) => !seen.has(image.id)).map((image) => ({ image, item: null }))];
}

/** "CT, 512 x 512, 120 slices". */
function described(image) {
  const parts = [image.modality || image.kind, `${number(image.columns)} × ${number(image.rows)}`];
  if (image.frames > 1) parts.push(t("slice_count", { n: number(image.frames) }));
  return parts.join(", ");
}

/** "Doe^Jane, 1234, 2024-01-31": whose image it is, where the archive said so; "" else. */
export function whose({ patient, study }) {
  const parts = [patient?.name, patient?.id, patient?.birth_date, study?.date, study?.description, study?.accession];
  return parts.filter(Boolean).join(" · ");
}

const numbers = new Map(); // of each image that this tab has seen, in their order

const numberOf = (id) => numbers.get(id) ?? numbers.set(id, numbers.size + 1).get(id);

/** "Image 3: CT, 512 x 512, 120 slices". */
export function named(image) {
  const about = [whose(image), described(image)].filter(Boolean).join(" · ");
  return `${t("image_number", { n: numberOf(image.id) })}: ${about}`;
}

/** "Image 3, slice 12" of what the service calls {image, frame}; count: how many slices the image has. */
export function placed({ image, frame }, count) {
  const name = t("image_number", { n: numberOf(image) });
  return count > 1 ? `${name}, ${t("slice_number", { n: number(frame) })}` : name;
}

export class Worklist {
  /** list: the <ol>; open(row): called to open a row; isBlind(): whether the reader is to answer first. */
  constructor(list, open, isBlind) {
    Object.assign(this, { list, open, isBlind });
    this.rows = [];
    this.at = -1;
  }

  show(rows) {
    this.rows = rows;
    this.list.replaceChildren(...rows.map((row, index) => make("li", {}, this.#button(row, index))));
  }

  #button({ image, item }, index) {
    const rate = item?.is_calibrated ? ` (${t("right_short", { n: ofHundred(item.confidence) })})` : "";
    const given = item && (this.isBlind() ? t("hidden") : item.abstains ? t("unknown") : item.answer + rate);
    const press = button("", () => this.#choose(index), { className: index === this.at ? "chosen" : "" });
    press.append(make("strong", {}, named(image)), make("br"),
      item ? `${item.question} ${given}` : t("unanswered"));
    if (index === this.at) press.setAttribute("aria-current", "true");
    return press;
  }

  #choose(index) {
    this.at = index;
    this.show(this.rows);
    this.list.querySelectorAll("button")[index].focus();
    this.open(this.rows[index]);
  }

  /** step: 1 for the next row, -1 for the one before. */
  move(step) {
    const index = Math.min(this.rows.length - 1, Math.max(0, this.at + step));
    if (this.rows.length && index !== this.at) this.#choose(index);
  }
}
