/** Places dots along an axis so that none covers another, always in the same way. */

const RADII = [4, 3.5, 3, 2.5, 2, 1.6, 1.3];
// Dots of one value may stand beside each other in so much of the way to the next value.
const SHARE_OF_GAP = 0.84;

/**
 * Dots keep their place on the axis but for what SHARE_OF_GAP allows: accuracies of few
 * test images are steps, and all networks of a step would be one high pile.
 * @param {Array<number>} xs Pixels.
 * @param {number} height Pixels there are.
 * @return {{radius: number, offsets: Array<[number, number]>}} From (x, middle).
 */
export function swarm(xs, height) {
  const piles = pilesOf(xs);
  let densest = null;
  for (const radius of RADII) {
    for (const widthOf of [() => 1, (pile) => Math.ceil(Math.sqrt(pile.members.length)), () => Infinity]) {
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
    if (!byX.has(x)) byX.set(x, []);
    byX.get(x).push(index);
  });
  const piles = [...byX].map(([x, members]) => ({ x, members })).sort((a, b) => a.x - b.x);
  const typical = 60;
  piles.forEach((pile, index) => {
    const before = index ? pile.x - piles[index - 1].x : typical;
    const after = index + 1 < piles.length ? piles[index + 1].x - pile.x : typical;
    pile.room = SHARE_OF_GAP * Math.min(before, after, typical);
  });
  return piles;
}

function inLanes(piles, number, radius, widthOf) {
  const step = 2 * radius;
  const offsets = new Array(number);
  const ends = []; // per lane, where its last dot ends
  for (const { x, members, room } of piles) {
    const columns = Math.max(1, Math.min(Math.floor(room / step), widthOf({ members })));
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
