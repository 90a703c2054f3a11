// Means, 95 % t-intervals and exact sign-flip tests of paired differences, as in softlookup.analysis.inference.
const MOST_EXACT_PAIRS = 12; // 2^12 sign patterns for each of many comparisons, at every change of a control

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

// The share of the 2^n sign patterns whose |sum| reaches the observed one; null where there are too many to list.
function signFlip(differences) {
  if (!differences.length || differences.length > MOST_EXACT_PAIRS) return null;
  const total = differences.reduce((sum, value) => sum + value, 0);
  const reach = Math.abs(total) - 1e-9 * differences.reduce((sum, value) => sum + Math.abs(value), 0);
  let sums = [0];
  for (const value of differences) sums = sums.flatMap((sum) => [sum + value, sum - value]);
  return sums.filter((sum) => Math.abs(sum) >= reach).length / sums.length;
}

// Places of the Pareto front, from the lowest x on: no other point has a better y at the same or a lower x.
function paretoFront(xs, ys) {
  const places = [...xs.keys()].sort((i, j) => xs[i] - xs[j] || ys[j] - ys[i]);
  const found = [];
  for (const i of places) if (!found.length || ys[i] > ys[found.at(-1)]) found.push(i);
  return found;
}
