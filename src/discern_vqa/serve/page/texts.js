// The page's words in the reader's language, from texts.json.

const ELEMENTS = { text: (element, words) => (element.textContent = words),
  label: (element, words) => element.setAttribute("aria-label", words) };
let all = {};
let language = "en";

export async function load() {
  all = await (await fetch("texts.json")).json();
}

export const languages = () => Object.keys(all);

/** The words of `key`, with {names} filled from `values`. */
export function t(key, values = {}) {
  return all[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A number as the language writes it. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Words of a list, such as "yes, no or left". */
export function either(words) {
  return new Intl.ListFormat(language, { type: "disjunction" }).format(words);
}

/** Fills every element that names its words (data-text, data-label). */
export function speak(chosen) {
  language = all[chosen] ? chosen : "en";
  document.documentElement.lang = language;
  for (const [name, fill] of Object.entries(ELEMENTS)) {
    for (const element of document.querySelectorAll(`[data-${name}]`)) fill(element, t(element.dataset[name]));
  }
}

/** An element with properties and children (elements or texts). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** A button that does something; while it does, it is marked as busy and does it no second time. */
export function button(words, act, properties = {}) {
  const press = make("button", { type: "button", ...properties }, words);
  press.addEventListener("click", async (event) => {
    if (press.ariaBusy === "true") return;
    press.ariaBusy = "true";
    try {
      await act(event);
    } finally {
      press.ariaBusy = null;
    }
  });
  return press;
}
