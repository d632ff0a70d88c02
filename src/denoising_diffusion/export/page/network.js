// A network as a list of instructions over typed arrays; values are {shape, data}.
const size = shape => shape.reduce((a, b) => a * b, 1);

function bytesOf(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
}

function fromHalf(halves) {
  // Sign, five bits of exponent, ten of fraction.
  return Float64Array.from(halves, h => {
    const sign = h >> 15 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
  });
}

function stridesOf(shape, out) {
  // Steps through a value of this shape while an index walks through the shape it is spread to.
  const strides = new Array(out.length).fill(0);
  for (let i = shape.length - 1, step = 1; i >= 0; i--) {
    if (shape[i] !== 1) strides[i + out.length - shape.length] = step;
    step *= shape[i];
  }
  return strides;
}

function spread(value, out) {
  if (size(value.shape) === size(out)) return value.data;
  return walked(value.data, stridesOf(value.shape, out), 0, out);
}

function walked(data, strides, start, out) {
  const made = new data.constructor(size(out)), index = new Array(out.length).fill(0);
  const last = out.length - 1, [wide, step] = last < 0 ? [1, 0] : [out[last], strides[last]];
  for (let i = 0, place = start; i < made.length; i += wide) {
    for (let j = 0; j < wide; j++) made[i + j] = data[place + j * step];
    for (let d = last - 1; d >= 0; d--) {
      place += strides[d];
      if (++index[d] < out[d]) break;
      place -= strides[d] * out[d];
      index[d] = 0;
    }
  }
  return made;
}

const each = f => ([x], out) => { for (let i = 0; i < out.length; i++) out[i] = f(x.data[i]); };
const pairs = f => (given, out, shape) => {
  const [a, b] = given.map(v => spread(v, shape));
  for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i]);
};

// C (m × n) = A (m × k) B (k × n) + bias, four rows and two products at a time.
function multiply(a, b, c, m, k, n, bias) {
  for (let i = 0; i < m; i += 4) {
    const rows = [0, 1, 2, 3].map(r => c.subarray(Math.min(i + r, m - 1) * n, (Math.min(i + r, m - 1) + 1) * n));
    const [c0, c1, c2, c3] = rows.map((_, r) => new Float64Array(n).fill(bias ? bias[Math.min(i + r, m - 1)] : 0));
    const at = [0, 1, 2, 3].map(r => Math.min(i + r, m - 1) * k);
    for (let p = 0; p < k; p += 2) {
      const two = p + 1 < k, b0 = p * n, b1 = two ? b0 + n : b0;
      const u0 = a[at[0] + p], u1 = a[at[1] + p], u2 = a[at[2] + p], u3 = a[at[3] + p];
      const v0 = two ? a[at[0] + p + 1] : 0, v1 = two ? a[at[1] + p + 1] : 0;
      const v2 = two ? a[at[2] + p + 1] : 0, v3 = two ? a[at[3] + p + 1] : 0;
      for (let j = 0; j < n; j++) {
        const x = b[b0 + j], y = b[b1 + j];
        c0[j] += u0 * x + v0 * y;
        c1[j] += u1 * x + v1 * y;
        c2[j] += u2 * x + v2 * y;
        c3[j] += u3 * x + v3 * y;
      }
    }
    [c0, c1, c2, c3].forEach((row, r) => { if (i + r < m) rows[r].set(row); });
  }
}

let columns = new Float64Array(0);

function convolve([x, w, bias], out, shape, how) {
  const flat = shape.length === 3, [ky, kx] = how.kernel, [sy, sx] = how.stride, [py, px] = how.padding;
  const [h, wide] = flat ? [1, x.shape[2]] : x.shape.slice(2), channels = x.shape[1];
  const [oh, ow] = flat ? [1, shape[2]] : shape.slice(2), n = oh * ow, k = channels * ky * kx;
  if (columns.length < k * n) columns = new Float64Array(k * n);
  for (let b = 0; b < shape[0]; b++) {
    let place = 0;
    for (let c = 0; c < channels; c++) for (let dy = 0; dy < ky; dy++) for (let dx = 0; dx < kx; dx++) {
      const from = (b * channels + c) * h * wide;
      for (let y = 0; y < oh; y++) {
        const row = y * sy + dy - py, inside = row >= 0 && row < h;
        for (let z = 0; z < ow; z++, place++) {
          const column = z * sx + dx - px;
          columns[place] = inside && column >= 0 && column < wide ? x.data[from + row * wide + column] : 0;
        }
      }
    }
    const part = out.subarray(b * shape[1] * n, (b + 1) * shape[1] * n);
    multiply(w.data, columns, part, shape[1], k, n, bias && bias.data);
  }
}

function linear([x, w, bias], out, shape) {
  const m = shape[shape.length - 1], k = w.shape[1], rows = out.length / m;
  const turned = new Float64Array(k * rows), made = new Float64Array(m * rows);
  for (let r = 0; r < rows; r++) for (let p = 0; p < k; p++) turned[p * rows + r] = x.data[r * k + p];
  multiply(w.data, turned, made, m, k, rows, bias && bias.data);
  for (let r = 0; r < rows; r++) for (let i = 0; i < m; i++) out[r * m + i] = made[i * rows + r];
}

function groupNorm([x, w, bias], out, shape, how) {
  const each = size(shape.slice(2)), group = shape[1] / how.groups, length = each * group;
  for (let g = 0; g < shape[0] * how.groups; g++) {
    const part = x.data.subarray(g * length, (g + 1) * length);
    let mean = 0, square = 0;
    for (let i = 0; i < length; i++) mean += part[i];
    mean /= length;
    for (let i = 0; i < length; i++) square += (part[i] - mean) ** 2;
    const scale = 1 / Math.sqrt(square / length + how.eps);
    for (let i = 0; i < length; i++) {
      const channel = (g % how.groups) * group + Math.floor(i / each);
      out[g * length + i] = (part[i] - mean) * scale * w.data[channel] + bias.data[channel];
    }
  }
}

function attend([q, k, v], out, shape) {
  const [batch, heads, n, width] = q.shape, m = k.shape[2], deep = v.shape[3];
  const scores = new Float64Array(m);
  for (let h = 0; h < batch * heads; h++) for (let i = 0; i < n; i++) {
    let most = -Infinity, sum = 0;
    for (let j = 0; j < m; j++) {
      let dot = 0;
      for (let d = 0; d < width; d++) dot += q.data[(h * n + i) * width + d] * k.data[(h * m + j) * width + d];
      scores[j] = dot / Math.sqrt(width);
      most = Math.max(most, scores[j]);
    }
    for (let j = 0; j < m; j++) sum += scores[j] = Math.exp(scores[j] - most);
    const row = new Float64Array(deep);
    for (let j = 0; j < m; j++) for (let d = 0; d < deep; d++) row[d] += scores[j] / sum * v.data[(h * m + j) * deep + d];
    out.set(row, (h * n + i) * deep);
  }
}

function join(given, out, shape, how) {
  const outer = size(shape.slice(0, how.dim)), inner = size(shape.slice(how.dim));
  let start = 0;
  for (const x of given) {
    const length = size(x.shape.slice(how.dim));
    for (let o = 0; o < outer; o++) for (let i = 0; i < length; i++) out[o * inner + start + i] = x.data[o * length + i];
    start += length;
  }
}

function nearest([x], out, shape) {
  const [h, w] = [shape.length > 3 ? x.shape[2] : 1, x.shape[x.shape.length - 1]];
  const [oh, ow] = [shape.length > 3 ? shape[2] : 1, shape[shape.length - 1]];
  for (let c = 0; c < shape[0] * shape[1]; c++) for (let y = 0; y < oh; y++) for (let z = 0; z < ow; z++)
    out[(c * oh + y) * ow + z] = x.data[(c * h + Math.floor(y * h / oh)) * w + Math.floor(z * w / ow)];
}

function pad([x], out, shape, how) {
  const steps = stridesOf(shape, shape), index = new Array(shape.length).fill(0);
  for (let i = 0; i < x.data.length; i++) {
    out[index.reduce((sum, v, d) => sum + (v + how.before[d]) * steps[d], 0)] = x.data[i];
    for (let d = shape.length - 1; d >= 0; d--) { if (++index[d] < x.shape[d]) break; index[d] = 0; }
  }
}

const full = shape => shape.map((_, i) => size(shape.slice(i + 1)));
const OPERATIONS = {
  sin: each(Math.sin), cos: each(Math.cos), exp: each(Math.exp), log: each(Math.log), sqrt: each(Math.sqrt),
  floor: each(Math.floor), ceil: each(Math.ceil), neg: each(x => -x), round: each(x => x),
  silu: each(x => x / (1 + Math.exp(-x))),
  gelu: each(x => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  add: pairs((a, b) => a + b), mul: pairs((a, b) => a * b), div: pairs((a, b) => a / b), pow: pairs(Math.pow),
  eq: pairs((a, b) => +(a === b)), max: pairs(Math.max), min: pairs(Math.min),
  where: (given, out, shape) => {
    const [c, a, b] = given.map(v => spread(v, shape));
    for (let i = 0; i < out.length; i++) out[i] = c[i] ? a[i] : b[i];
  },
  slice: ([x], out, shape, how) => {
    const strides = full(x.shape);
    out.set(walked(x.data, strides, how.start * strides[how.dim], shape));
  },
  permute: ([x], out, shape, how) => {
    const strides = full(x.shape);
    out.set(walked(x.data, how.order.map(d => strides[d]), 0, shape));
  },
  rows: ([table, rows], out) => {
    const width = table.data.length / table.shape[0];
    rows.data.forEach((row, i) => out.set(table.data.subarray(row * width, (row + 1) * width), i * width));
  },
  cat: join, conv: convolve, linear, norm: groupNorm, attention: attend, nearest, pad,
};

// Values that are known, at their numbers.
function storedOf(model) {
  const known = [], all = model.half ? fromHalf(new Uint16Array(bytesOf(model.weights))) : Float64Array.from(new Float32Array(bytesOf(model.weights)));
  const exact = new Float64Array(bytesOf(model.constants));
  for (const [data, held] of [[all, model.weightShapes], [exact, model.constantShapes]]) {
    let start = 0;
    for (const [number, shape] of held) {
      known[number] = { shape, data: data.subarray(start, start += size(shape)) };
    }
  }
  return known;
}

// (inputs: arrays in their order) -> the answer, a Float32Array.
function slowOf(model) {
  const known = storedOf(model);
  return inputs => {
    const values = known.slice();
    inputs.forEach((data, i) => { values[i] = { shape: model.inputs[i], data }; });
    for (const [op, given, number, shape, precise, how] of model.tape) {
      const taken = given.map(i => values[i]);
      let data = taken[0].data;
      if (op !== "view") OPERATIONS[op](taken, data = new (precise ? Float64Array : Float32Array)(size(shape)), shape, how);
      values[number] = { shape, data };
    }
    return values[model.answer].data;
  };
}
