// Stored values become greys, by the arithmetic of imaging/greys.py and to the last bit: the same order of operations,
// and halves rounded to the even neighbour, as numpy does.

/** Rounds to the nearest whole number, halves to the even one. */
export function rounded(number) {
  const below = Math.floor(number);
  const rest = number - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** The grey (0 to 255) of a value. At `low` and below it is black, at `high` and above white. */
export function grey(value, low, high) {
  if (!(high > low)) return value > low ? 255 : 0;
  const share = (value / 2 - low / 2) / (high / 2 - low / 2);
  return rounded(Math.min(1, Math.max(0, share)) * 255);
}

/**
 * The grey of each of the 65,536 stored values, as opaque pixels (ABGR in a 32-bit word, as a little-endian ImageData
 * has them).
 *
 * frame: {slope, intercept, swapped}; range: {low, high} in what is measured (slope * value + intercept); inverted: the
 * user swapped white and black. swapped: the file says that its least value is white (MONOCHROME1).
 */
export function lookupTable(frame, range, inverted) {
  const table = new Uint32Array(65536);
  for (let index = 0; index < 65536; index++) {
    let shade = grey(index * frame.slope + frame.intercept, range.low, range.high);
    if (inverted !== frame.swapped) shade = 255 - shade;
    table[index] = (0xff000000 | (shade << 16) | (shade << 8) | shade) >>> 0;
  }
  return table;
}

/** Opaque pixels (a Uint32Array) of stored values (a Uint16Array). */
export function pixelsOf(values, table, pixels) {
  for (let index = 0; index < values.length; index++) pixels[index] = table[values[index]];
  return pixels;
}

/** The usual windows for CT, centre and width in Hounsfield units (imaging/greys.py). */
export const CT_WINDOWS = {
  abdomen: [50, 400], angio: [300, 600], bone: [400, 1800], brain: [40, 80], liver: [30, 150], lung: [-600, 1500],
  mediastinum: [50, 350], spine: [50, 250], stroke: [40, 40], subdural: [75, 215], temporal: [600, 2800],
};
