/** Places dots along an axis so that none covers another, always in the same way. */

const RADII = [4, 3.5, 3, 2.5, 2, 1.6, 1.3];
// Dots of one value may stand beside each other in so much of the way to the next value,
// and in no less and no more pixels than these.
const SHARE_OF_GAP = 0.84;
const LEAST_ROOM = 18;
const MOST_ROOM = 60;

/**
 * A single dot keeps its place on the axis. Dots of one value stand side by side:
 * accuracies of few test images are steps, and all networks of a step would otherwise be
 * one high pile.
 * @param {Array<number>} xs Pixels.
 * @param {number} height Pixels there are.
 * @param {number} [largest] Of the radius.
 * @return {{radius: number, offsets: Array<[number, number]>}} From (x, middle).
 */
export function swarm(xs, height, largest = Infinity) {
  const piles = pilesOf(xs);
  let densest = null;
  for (const radius of RADII.filter((one) => one <= largest)) {
    for (const widthOf of [() => 1, (number) => Math.ceil(Math.sqrt(number)), () => Infinity]) {
      const placed = inLanes(piles, xs.length, radius, widthOf);
      if (placed.numLanes * 2 * radius <= height) return { radius, offsets: placed.offsets };
      densest = { ...placed, radius };
    }
  }
  // Too many: they cover each other.
  const squeeze = height / (densest.numLanes * 2 * densest.radius);
  return { radius: densest.radius, offsets: densest.offsets.map(([x, y]) => [x, y * squeeze]) };
}

/** Dots of the same x, rising, with the room that each has. */
function pilesOf(xs) {
  const byX = new Map();
  xs.forEach((x, index) => {
    const place = Math.round(x * 100) / 100;
    if (!byX.has(place)) byX.set(place, []);
    byX.get(place).push(index);
  });
  const piles = [...byX].map(([x, members]) => ({ x, members })).sort((a, b) => a.x - b.x);
  piles.forEach((pile, index) => {
    const before = index ? pile.x - piles[index - 1].x : Infinity;
    const after = index + 1 < piles.length ? piles[index + 1].x - pile.x : Infinity;
    pile.room = Math.min(MOST_ROOM, Math.max(LEAST_ROOM, SHARE_OF_GAP * Math.min(before, after)));
  });
  return piles;
}

function inLanes(piles, number, radius, widthOf) {
  const step = 2 * radius;
  const offsets = new Array(number);
  const ends = []; // per lane, where its last dot ends
  for (const { x, members, room } of piles) {
    const columns = Math.max(1, Math.min(Math.floor(room / step), widthOf(members.length)));
    const width = Math.min(columns, members.length);
    let next = 0;
    for (let lane = 0; next < members.length; lane += 1) {
      for (let column = 0; column < width && next < members.length; column += 1) {
        const shift = (column - (width - 1) / 2) * step;
        if (x + shift - radius < (ends[lane] ?? -Infinity) - 1e-6) continue;
        ends[lane] = x + shift + radius;
        // 0, 1, −1, 2, −2: around the middle.
        const level = lane % 2 ? (lane + 1) / 2 : -lane / 2;
        offsets[members[next]] = [shift, level * step];
        next += 1;
      }
    }
  }
  return { offsets, numLanes: ends.length };
}
