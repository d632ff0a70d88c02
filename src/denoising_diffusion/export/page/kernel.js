// The same by the kernel (kernel.c): every value has its place in one memory from the beginning.
const FIRST = 65536;

function programOf(text) {
  // Neither is there everywhere: WebAssembly, nor its SIMD.
  try { return new WebAssembly.Module(bytesOf(text)); } catch { return null; }
}

// Of the weights of a matrix, eight rows side by side.
function packed(data, rows) {
  const k = data.length / rows, made = new Float32Array(Math.ceil(rows / 8) * 8 * k);
  for (let r = 0; r < rows; r++) for (let p = 0; p < k; p++) made[(Math.floor(r / 8) * k + p) * 8 + r % 8] = data[r * k + p];
  return made;
}

function weighed(room, weight, bias) {
  const rows = weight.shape[0], sums = new Float32Array(Math.ceil(rows / 8) * 8);
  if (bias) sums.set(bias.data);
  return [room.keep(packed(weight.data, rows)), room.keep(sums)];
}

function fastConvolution([x, w, bias], out, how, room) {
  const flat = out.shape.length === 3, [ky, kx] = how.kernel, [sy, sx] = how.stride, [py, px] = how.padding;
  const [batch, channels] = x.shape, [h, wide] = flat ? [1, x.shape[2]] : x.shape.slice(2);
  const outs = out.shape[1], [oh, ow] = flat ? [1, out.shape[2]] : out.shape.slice(2), n = oh * ow;
  const row = wide + 2 * px, plane = row * (h + 2 * py), framed = py + px > 0;
  // The frame of zeros around the values is never written.
  const read = framed ? room.place(batch * channels * plane) : x.at;
  const from = new Int32Array(batch * n), to = new Int32Array(batch * n);
  for (let b = 0; b < batch; b++) for (let y = 0; y < oh; y++) for (let z = 0; z < ow; z++) {
    const i = b * n + y * ow + z;
    from[i] = b * channels * plane + y * sy * row + z * sx;
    to[i] = b * outs * n + y * ow + z;
  }
  const given = [...weighed(room, w, bias), out.at, room.keep(from), room.keep(to), batch * n, outs, n, channels, plane, ky, row, kx];
  return kernel => {
    if (framed) kernel.inset(x.at, read + 4 * (py * row + px), batch * channels, h, wide, plane, row);
    kernel.patches(read, ...given);
  };
}

function fastLinear([x, w, bias], out, how, room) {
  const [outs, k] = w.shape, n = size(out.shape) / outs;
  const [from, to] = [k, outs].map(step => room.keep(Int32Array.from({ length: n }, (_, i) => i * step)));
  const given = [x.at, ...weighed(room, w, bias), out.at, from, to, n, outs, 1, 1, 0, 1, 0, k];
  return kernel => kernel.patches(...given);
}

function fastNorm([x, w, bias], out, how, room) {
  const channels = x.shape[1], group = channels / how.groups;
  const given = [x.at, room.keep(w.data), room.keep(bias.data), out.at, x.shape[0] * how.groups, group, size(x.shape.slice(2)), channels, how.eps];
  return kernel => kernel.norm(...given);
}

// Values with as many, or with one for each row of them.
const fastPairs = name => (given, out, how, room) => {
  const n = size(out.shape), [x, y] = size(given[0].shape) === n ? given : [given[1], given[0]];
  if (size(x.shape) !== n) return null;
  const [first, second] = [x, y].map(v => v.at === undefined ? room.keep(v.data) : v.at);
  const same = size(y.shape) === n, rows = same ? 1 : size(y.shape);
  const spread = [...new Array(out.shape.length - y.shape.length).fill(1), ...y.shape], lead = spread.findLastIndex(v => v > 1) + 1;
  if (!same && spread.slice(0, lead).some((v, i) => v !== out.shape[i])) return null;
  return kernel => kernel[name](first, second, out.at, rows, n / rows, +!same);
};

const FAST = {
  conv: fastConvolution, linear: fastLinear, norm: fastNorm, add: fastPairs("add"), mul: fastPairs("mul"),
  silu: ([x], out) => kernel => kernel.silu(x.at, out.at, size(out.shape)),
};

// Whether the kernel finds all that an operation takes: values in its memory, and weights that are known.
function readyFor(op, taken, known) {
  const placed = v => v.at !== undefined;
  if (op === "add" || op === "mul") return taken.every(v => placed(v) || known.has(v));
  return op in FAST && placed(taken[0]) && taken.slice(1).every(v => known.has(v));
}

// As `slowOf`; null where the kernel cannot run.
function fastOf(model) {
  const program = programOf(model.kernel);
  if (!program) return null;
  const held = [], values = storedOf(model);
  let top = FIRST;
  const place = n => { const at = top; top += 16 * Math.ceil(n / 4); return at; };
  const room = { place, keep: data => { const at = place(data.length); held.push([at, data]); return at; } };
  const valueOf = shape => ({ shape, at: place(size(shape)) });
  const stored = new Set(values), inputs = model.inputs.map((shape, i) => values[i] = valueOf(shape));
  const steps = model.tape.map(([op, given, number, shape, exact, how]) => {
    const taken = given.map(i => values[i]);
    if (op === "view") {
      values[number] = { shape, at: taken[0].at, whole: taken[0].whole || taken[0] };
      return null;
    }
    const out = values[number] = exact ? { shape, data: new Float64Array(size(shape)) } : valueOf(shape);
    const ready = !exact && readyFor(op, taken, stored);
    return (ready && FAST[op](taken, out, how, room)) || (() => OPERATIONS[op](taken, out.data, shape, how));
  }).filter(step => step);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(top / 65536) });
  const kernel = new WebAssembly.Instance(program, { env: { memory } }).exports;
  for (const [at, data] of held.splice(0)) new (data instanceof Int32Array ? Int32Array : Float32Array)(memory.buffer, at, data.length).set(data);
  for (const v of values) if (v) v.data = v.at === undefined ? (v.whole || v).data : new Float32Array(memory.buffer, v.at, size(v.shape));
  return given => {
    given.forEach((data, i) => inputs[i].data.set(data));
    for (const step of steps) step(kernel);
    return values[model.answer].data.slice();
  };
}
