// Times, noise and the walk from noise to data, as the library's samplers do them.

// A stream of normal numbers of one seed (mulberry32, then Box and Muller); the library's own differ.
function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

// Halves go to the even neighbour, as in `time_grid`.
const whole = v => v % 1 === 0.5 ? 2 * Math.round(v / 2) : Math.round(v);
const gridOf = (last, steps) => Array.from({ length: steps + 1 }, (_, i) => whole(last * (steps - i) / steps));

// How much of the noise of a step is fresh: its standard deviation.
const FRESH = {
  ddim: () => 0,
  ddpm: (now, then) => Math.sqrt(Math.max(now.sigma ** 2 - (now.alpha / then.alpha * then.sigma) ** 2, 0)) * then.sigma / now.sigma,
};

// The labels of a class, or of none, 0; null is no class, where a network is told clusters of all data. A class is drawn
// as its clusters in their shares, as `in_proportion` has it.
function labelsOf(model, label) {
  const clusters = model.config.facts.clusters || [];
  if (!clusters.length || label === 0) return new Float64Array(model.count).fill(label);
  const own = clusters.map(([kind, share], i) => [i + 1, share, kind]).filter(([, , kind]) => label === null || kind === label);
  const all = own.reduce((sum, [, share]) => sum + share, 0), golden = (Math.sqrt(5) - 1) / 2;
  return Float64Array.from({ length: model.count }, (_, i) => {
    let left = (i + 0.5) * golden % 1 * all;
    return (own.find(([, share]) => (left -= share) < 0) || own[own.length - 1])[0];
  });
}

function denoiserOf(model, network) {
  const labelled = model.names.includes("labels"), width = model.inputs[0].slice(1).reduce((a, b) => a * b, 1);
  const columns = model.inputs[0][model.inputs[0].length - 1];
  const limits = model.clip && model.clip.map(v => i => Array.isArray(v) ? v[i % columns] : v);
  const at = (x, t, label) => {
    const given = [x, new Float32Array(model.count).fill(t)];
    if (labelled) given.push(labelsOf(model, label));
    return network(given);
  };
  // Guidance mixes estimates, which are cut to the range of the data afterwards.
  return (x, t, label, scale, known) => {
    let made = at(x, t, scale === 0 ? 0 : label);
    if (labelled && label !== 0 && scale !== 0 && scale !== 1) {
      const without = at(x, t, 0);
      made = made.map((v, i) => without[i] + scale * (v - without[i]));
    }
    if (limits) made = made.map((v, i) => Math.min(limits[1](i), Math.max(limits[0](i), v)));
    if (known) made = made.map((v, i) => known.hole[i] ? v : known.x[i]);
    return made;
  };
}

// Every step of a walk: {t, x, estimate}, x being what the estimate was made from.
function* walk(model, denoise, wish) {
  const normal = normals(wish.seed), last = model.alpha.length - 1, length = model.inputs[0].reduce((a, b) => a * b, 1);
  const noise = () => Float32Array.from({ length }, normal), row = t => ({ t, alpha: model.alpha[t], sigma: model.sigma[t] });
  const times = gridOf(last, wish.steps).map(row);
  let x = noise().map(v => v * times[0].sigma);
  for (let i = 0; i < wish.steps; i++) {
    const now = times[i], then = times[i + 1];
    const estimate = denoise(x, now.t, wish.label, wish.scale, wish.known);
    yield { t: now.t, x, estimate };
    const jump = then.sigma ? FRESH[wish.sampler](now, then) : 0, kept = Math.sqrt(Math.max(then.sigma ** 2 - jump ** 2, 0));
    const fresh = jump ? noise() : null;
    x = x.map((v, j) => then.alpha * estimate[j] + kept * (v - now.alpha * estimate[j]) / now.sigma + (fresh ? jump * fresh[j] : 0));
  }
  yield { t: 0, x, estimate: x };
}
