// A heat map as colours over the image: lightness rises with the weight, so that it can be read without colour; a line
// encloses what has over half of the greatest weight. Where there is no weight, the image stays as it is.

const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const HALF = 127;
const LINE = [255, 255, 255];

/** The colour of a weight from 0 to 255, as [red, green, blue]. */
function colour(weight) {
  const place = (weight / 255) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(place));
  return STOPS[low].map((value, channel) => value + (place - low) * (STOPS[low + 1][channel] - value));
}

const TABLE = Array.from({ length: 256 }, (_, weight) => colour(weight));
const SIDE = 640; // pixels; smaller maps are enlarged, so that the line is smooth
const WIDTH = 2; // of the line

/** address: of a grey image that covers the whole image, white where the weight is greatest. A canvas of colours. */
export async function coloured(address) {
  const map = new Image();
  map.src = address;
  await map.decode();
  const scale = Math.max(1, SIDE / Math.max(map.naturalWidth, map.naturalHeight));
  const canvas = document.createElement("canvas");
  const width = (canvas.width = Math.round(map.naturalWidth * scale));
  const height = (canvas.height = Math.round(map.naturalHeight * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(map, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  const weights = image.data.filter((_, index) => index % 4 === 0);
  const isInside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && weights[y * width + x] > HALF;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = y * width + x, weight = weights[place];
      const isEdge = weight > HALF && !(isInside(x - WIDTH, y) && isInside(x + WIDTH, y) && isInside(x, y - WIDTH) && isInside(x, y + WIDTH));
      image.data.set(isEdge ? LINE : TABLE[weight], 4 * place);
      image.data[4 * place + 3] = isEdge ? 255 : weight;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
