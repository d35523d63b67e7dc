// What the page asks of the service (docs/serve.md). Every failure is a Problem, with what to do next where it is known.

import { t } from "./texts.js";

let key = "";

/** What the service refused, or why it could not be reached. hint: what to do next, or "". */
export class Problem extends Error {
  constructor(status, detail, hint) {
    super(detail);
    this.status = status;
    this.hint = hint;
  }
}

/** The user's key for all that follows; kept in this tab's memory alone. */
export function useKey(given) {
  key = given;
}

async function send(method, path, { body, type } = {}) {
  const headers = { "X-Discern": "1" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (type) headers["Content-Type"] = type;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, cache: "no-store" });
  } catch {
    throw new Problem(0, t("unreachable"), t("unreachable_hint"));
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, told.detail ?? answer.statusText, told.hint ?? "");
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

const get = async (path, values = {}) => (await send("GET", path + query(values))).json();
const post = (path, content) => send("POST", path, { body: JSON.stringify(content), type: "application/json" });
const posted = async (path, content) => (await post(path, content)).json();

/** False while the models are loading. */
export async function isReady() {
  try {
    await send("GET", "/readyz");
    return true;
  } catch (problem) {
    if (problem.status === 503) return false;
    throw problem;
  }
}

export const model = (run) => get("/v1/model", { run });
export const suggestions = (run) => get("/v1/suggestions", { run, limit: 6 });
export const images = async () => (await get("/v1/images")).images;
export const series = async (study) => (await get("/v1/series", { study })).series;
export const fetched = async (study, series) => (await posted("/v1/images", { dicomweb: { study, series } })).images;
export const forget = (id) => send("DELETE", `/v1/images/${id}`);
export const answers = (asked) => posted("/v1/answers", asked);
export const explanation = (asked) => posted("/v1/explanations", asked);
export const correction = (content) => posted("/v1/corrections", content);
export const next = async (run) => (await get("/v1/next", { run, limit: 64 })).items;
export const nextOfArchive = (question, date, run) => posted("/v1/next", { question, date, run });
export const dicom = async (asked) => (await post("/v1/dicom", asked)).blob();
export const stored = (asked) => posted("/v1/dicom", asked);

/** Similar cases; the service says 503 as long as it prepares them, and is asked again. */
export async function similar(asked) {
  for (let tries = 1; ; tries++) {
    try {
      return await posted("/v1/similar", asked);
    } catch (problem) {
      if (problem.status !== 503 || tries === 60) throw problem;
    }
    await new Promise((wake) => setTimeout(wake, 5000));
  }
}

/** Uploads files; DICOM files of one series become one image. */
export async function upload(files) {
  const body = new FormData();
  for (const file of files) body.append("file", file, "image"); // its name may be a patient's and stays here
  return (await (await send("POST", "/v1/images", { body })).json()).images;
}

/** {frame, values} of a frame, for `Viewer.show`. */
export async function frame(id, number, axis) {
  const answer = await send("GET", `/v1/images/${id}/frames/${number}${query({ axis })}`);
  const header = (name, otherwise) => Number(answer.headers.get(name) ?? otherwise);
  const [columns, rows] = [header("X-Columns"), header("X-Rows")];
  const spacing = answer.headers.get("X-Spacing");
  const [centre, width] = [header("X-Window-Centre", 127.5), header("X-Window-Width", 255)];
  const about = {
    columns, rows, aspect: header("X-Aspect", 1), across: spacing ? Number(spacing.split(",")[1]) : null,
    slope: header("X-Slope", 1), intercept: header("X-Intercept", 0), swapped: answer.headers.get("X-Invert") === "1",
    low: centre - width / 2, high: centre + width / 2,
  };
  const bytes = await answer.arrayBuffer();
  if (answer.headers.get("X-Kind") === "grey16") return { frame: about, values: new Uint16Array(bytes) };
  const [from, pixels] = [new Uint8Array(bytes), new Uint8ClampedArray(columns * rows * 4).fill(255)];
  for (let index = 0; index < columns * rows; index++) pixels.set(from.subarray(3 * index, 3 * index + 3), 4 * index);
  return { frame: about, values: await createImageBitmap(new ImageData(pixels, columns, rows)) };
}

/** {frame, values}: the square that the model sees. */
export async function seen(id, asked) {
  const answer = await send("GET", `/v1/images/${id}/seen${query(asked)}`);
  const bitmap = await createImageBitmap(await answer.blob());
  const about = { columns: bitmap.width, rows: bitmap.height, aspect: 1, across: null, slope: 1, intercept: 0, low: 0, high: 255 };
  return { frame: about, values: bitmap };
}
