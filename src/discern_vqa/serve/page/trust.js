// What an answer is worth, in words. Everything comes from the service's verdict; nothing is judged here.

import { either, number, t } from "./texts.js";

/** A share as a count of a hundred; what is not certain never reads as 0 or 100. */
export function ofHundred(share) {
  if (share >= 0.995) return t("over", { n: 99 });
  return share > 0 && share < 0.005 ? t("under", { n: 1 }) : number(100 * share);
}

/** Why no answer is given: one sentence. belowWhat: the confidence that is asked for, or null. */
function reason(entry, belowWhat) {
  const { outside, typical, confidence } = entry;
  if (outside.length) {
    const which = outside.length > 1 ? "both" : outside[0];
    const least = Math.min(...outside.map((kind) => typical?.[kind] ?? 0));
    return t(`outside_${which}`, { n: ofHundred(Math.max(least, 0.001)) });
  }
  if (belowWhat === null) return t("never_sure");
  return t("unsure", { n: ofHundred(confidence), least: ofHundred(belowWhat) });
}

/** What the answer set promises, a sentence, or "". */
function promise({ outside, answer_set: set, set_coverage: coverage }) {
  if (coverage === null || coverage === undefined || outside.length) return "";
  const n = ofHundred(coverage);
  if (set === null) return t("set_any", { n });
  return set.length ? t("set", { n, answers: either(set) }) : t("set_none", { n });
}

/**
 * What is said of an entry of /v1/answers: {isUnknown, headline, why, guess, trust, noRate, share, set};
 * "" where there is nothing to say, share null.
 *
 * model: of /v1/model.
 */
export function verdict(entry, model) {
  const isKnownRate = entry.is_calibrated && !entry.outside.length;
  const noRate = entry.is_calibrated ? t("no_rate_outside") : t("no_rate_why", { score: number(entry.score, 2) });
  return {
    isUnknown: entry.abstains,
    headline: entry.abstains ? t("unknown") : entry.answer,
    why: entry.abstains ? reason(entry, model.abstains_below) : "",
    guess: entry.abstains ? t("guess", { answer: entry.answer }) : "",
    trust: isKnownRate ? t("right_in", { n: ofHundred(entry.confidence) }) : t("no_rate"),
    noRate: isKnownRate ? "" : noRate,
    share: isKnownRate ? entry.confidence : null,
    set: promise(entry),
  };
}

/** The heat map's measured worth, a sentence or two. */
export function worth(explanation) {
  const rate = explanation.hit_rate;
  if (!rate) return t("heat_unmeasured");
  const values = { n: number(100 * rate.mean), questions: number(rate.n), chance: number(100 * rate.chance) };
  return t("heat_measured", values) + (rate.mean > Math.max(rate.chance, rate.blind ?? 0) ? "" : ` ${t("heat_worthless")}`);
}
