// Means, 95 % intervals and exact sign-flip tests of paired differences, as in softlookup.analysis.inference.
const MOST_EXACT_PAIRS = 16; // 2^16 sign patterns for each of many comparisons, at every change of a control

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  if (values.length < 2) return NaN;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

// The mean of differences with its 95 % interval by Student's t; NaN below two.
function interval(differences) {
  const middle = mean(differences);
  const half =
    differences.length < 2
      ? NaN
      : (DATA.quantiles[differences.length - 2] * deviation(differences)) / Math.sqrt(differences.length);
  return { difference: middle, low: middle - half, high: middle + half };
}

// The 95 % interval of the studentized bootstrap, from the resamples that the analysis draws; NaN where there is none.
function bootstrap(differences) {
  const n = differences.length,
    drawn = DATA.resamples[n],
    none = { bootstrapLow: NaN, bootstrapHigh: NaN };
  if (!drawn) return none;
  const middle = mean(differences),
    error = deviation(differences) / Math.sqrt(n),
    least = 1e-12 * Math.max(...differences.map(Math.abs));
  if (error <= least) return { bootstrapLow: middle, bootstrapHigh: middle };
  const ratios = new Float64Array(drawn.length / n);
  for (let resample = 0; resample < ratios.length; resample++) {
    let sum = 0,
      squares = 0;
    for (let pair = resample * n; pair < resample * n + n; pair++) sum += differences[drawn[pair]];
    const center = sum / n;
    for (let pair = resample * n; pair < resample * n + n; pair++) squares += (differences[drawn[pair]] - center) ** 2;
    const width = Math.sqrt(squares / (n - 1) / n);
    ratios[resample] = width <= least ? (center < middle ? -Infinity : Infinity) : (center - middle) / width;
  }
  ratios.sort();
  const quantile = (share) => ratios[Math.ceil(share * ratios.length) - 1];
  const [low, high] = [middle - quantile(0.975) * error, middle - quantile(0.025) * error];
  return Number.isFinite(low) && Number.isFinite(high) ? { bootstrapLow: low, bootstrapHigh: high } : none;
}

// Whether both intervals are shown: where they differ by a tenth of the width.
const apart = ({ low, high, bootstrapLow, bootstrapHigh }) =>
  Math.max(Math.abs(low - bootstrapLow), Math.abs(high - bootstrapHigh)) > 0.1 * (high - low);

// The share of the 2^n sign patterns whose |sum| reaches the observed one; null where there are too many to list.
function signFlip(differences) {
  if (!differences.length || differences.length > MOST_EXACT_PAIRS) return null;
  const total = differences.reduce((sum, value) => sum + value, 0);
  const reach = Math.abs(total) - 1e-9 * differences.reduce((sum, value) => sum + Math.abs(value), 0);
  const sums = new Float64Array(2 ** differences.length);
  differences.forEach((value, place) => {
    const known = 2 ** place;
    for (let sum = 0; sum < known; sum++) {
      sums[known + sum] = sums[sum] - value;
      sums[sum] += value;
    }
  });
  return sums.reduce((hits, sum) => hits + (Math.abs(sum) >= reach), 0) / sums.length;
}

// Places of the Pareto front, from the lowest x on: no other point has a better y at the same or a lower x.
function paretoFront(xs, ys) {
  const places = [...xs.keys()].sort((i, j) => xs[i] - xs[j] || ys[j] - ys[i]);
  const found = [];
  for (const i of places) if (!found.length || ys[i] > ys[found.at(-1)]) found.push(i);
  return found;
}
