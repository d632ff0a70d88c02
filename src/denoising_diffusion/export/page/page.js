// What is seen, and what hands do with it.
(() => {
  const $ = id => document.getElementById(id);
  const model = JSON.parse($("model").textContent), facts = model.config.facts;
  const fast = fastOf(model), network = fast || slowOf(model), denoise = denoiserOf(model, network);
  const labelled = model.names.includes("labels"), guided = labelled && model.config.training.label_dropout > 0;
  const shape = model.inputs[0].slice(1), last = model.alpha.length - 1, own = model.config.sampling;
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let history = [], label = labelled ? model.class_names.length ? 1 : null : 0, hole = null, filled = false, running = 0, brush = false;

  // Each kind of data is drawn in its own way.
  const grid = () => { const columns = Math.ceil(Math.sqrt(model.count)); return [columns, Math.ceil(model.count / columns)]; };
  function sized(canvas, height) {
    const ratio = window.devicePixelRatio || 1, wide = canvas.parentElement.clientWidth;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(height * wide * ratio);
    return canvas.getContext("2d");
  }
  function images(canvas, x, marked) {
    const [c, h, w] = shape, [columns, lines] = grid(), gap = model.count > 1 ? 1 : 0;
    const wide = columns * (w + gap) - gap, high = lines * (h + gap) - gap, sheet = new ImageData(wide, high);
    for (let n = 0; n < model.count; n++) for (let y = 0; y < h; y++) for (let z = 0; z < w; z++) {
      const at = ((Math.floor(n / columns) * (h + gap) + y) * wide + (n % columns) * (w + gap) + z) * 4;
      for (let k = 0; k < 3; k++) sheet.data[at + k] = (x[((n * c + (c > 2 ? k : 0)) * h + y) * w + z] + 1) * 127.5;
      sheet.data[at + 3] = 255;
      if (marked && marked[(n * c * h + y) * w + z]) {
        sheet.data[at] = 0.45 * sheet.data[at] + 140;
        sheet.data[at + 1] *= 0.55;
        sheet.data[at + 2] *= 0.45;
      }
    }
    const small = document.createElement("canvas");
    [small.width, small.height] = [wide, high];
    small.getContext("2d").putImageData(sheet, 0, 0);
    const scale = Math.max(1, Math.floor(canvas.parentElement.clientWidth * (window.devicePixelRatio || 1) / wide));
    [canvas.width, canvas.height] = [wide * scale, high * scale];
    canvas.style.aspectRatio = `${wide} / ${high}`;
    const g = canvas.getContext("2d");
    g.imageSmoothingEnabled = false;
    g.drawImage(small, 0, 0, canvas.width, canvas.height);
  }
  function signals(canvas, x) {
    const g = sized(canvas, 0.7), [c, n] = shape, most = Math.max(1, ...x.map(Math.abs));
    const [columns, lines] = grid(), wide = canvas.width / columns, high = canvas.height / lines;
    g.lineWidth = 1.5 * (window.devicePixelRatio || 1);
    for (let s = 0; s < model.count * c; s++) {
      const tile = Math.floor(s / c), left = (tile % columns) * wide, top = Math.floor(tile / columns) * high;
      g.strokeStyle = colour(["--s1", "--s2", "--s3"][s % c % 3]);
      g.beginPath();
      for (let i = 0; i < n; i++) g.lineTo(left + (i + 0.5) / n * wide, top + high * (0.5 - 0.45 * x[s * n + i] / most));
      g.stroke();
    }
  }
  // Two columns of points are seen, on axes in the units of the data.
  const columns = (facts.columns || []).length ? facts.columns : Array.from({ length: shape[0] }, (_, k) => shape[0] < 4 ? "xyz"[k] : `x${k + 1}`);
  const inUnits = (v, k) => {
    const [scale, shift] = [facts.scale || [1], facts.shift || [0]];
    return String(+(v * scale[k % scale.length] + shift[k % shift.length]).toPrecision(3));
  };
  const furthest = () => Math.max(1.5, ...(model.clip || [2]).flat().map(Math.abs)) * 1.15;
  function points(canvas, x, _, step, field) {
    const g = sized(canvas, 1), d = shape[0], r = furthest(), ratio = window.devicePixelRatio || 1;
    const [one, other] = ["across", "up"].map(id => Math.max(0, $(id).selectedIndex)), pad = 20 * ratio;
    const across = v => pad + (v / r + 1) / 2 * (canvas.width - pad), down = v => (1 - v / r) / 2 * (canvas.height - pad);
    const spot = (v, i) => [across(v[i * d + one]), down(d > 1 ? v[i * d + other] : 0)];
    const axis = (k, length) => {
      for (const [place, text, at] of [["left", inUnits(-r, k), pad], ["center", columns[k], (pad + length) / 2], ["right", inUnits(r, k), length - 4]]) {
        g.textAlign = place;
        g.fillText(text, at, -5 * ratio, 0.6 * length);
      }
    };
    g.fillStyle = colour("--soft");
    g.font = `${12 * ratio}px system-ui, sans-serif`;
    g.save();
    g.translate(0, canvas.height);
    axis(one, canvas.width);
    g.rotate(-Math.PI / 2);
    g.translate(0, pad);
    if (d > 1) axis(other, canvas.height);
    g.restore();
    g.strokeStyle = colour("--line");
    g.strokeRect(pad, 0, canvas.width - pad, canvas.height - pad);
    g.beginPath();
    g.rect(pad, 0, canvas.width - pad, canvas.height - pad);
    g.clip();
    if (field) {
      g.strokeStyle = colour("--soft");
      g.lineWidth = ratio;
      for (const [from, to] of field) {
        const a = [across(from[0]), down(from[1])], way = [to[0] - from[0], from[1] - to[1]];
        const long = Math.hypot(...way) || 1, reach = canvas.width / 40 * Math.min(1, 3 * long / r);
        g.beginPath();
        g.moveTo(...a);
        g.lineTo(a[0] + way[0] / long * reach, a[1] + way[1] / long * reach);
        g.stroke();
        g.fillStyle = colour("--soft");
        g.fillRect(a[0] - ratio, a[1] - ratio, 2 * ratio, 2 * ratio);
      }
    }
    if (canvas.id === "state" && $("trails").checked) {
      g.strokeStyle = colour("--trail");
      g.lineWidth = ratio;
      for (let i = 0; i < model.count; i++) {
        g.beginPath();
        for (let k = 0; k <= step; k++) g.lineTo(...spot(history[k].x, i));
        g.stroke();
      }
    }
    g.fillStyle = colour("--s1");
    for (let i = 0; i < model.count; i++) { g.beginPath(); g.arc(...spot(x, i), 2.2 * ratio, 0, 7); g.fill(); }
  }
  const draw = { images, signals, points }[facts.kind];

  function fieldAt(t) {
    // The way of the next small step of the probability flow, on a square of places.
    const d = shape[0], r = furthest(), side = Math.floor(Math.sqrt(model.count)), x = new Float32Array(model.count * d);
    if (d !== 2 || t === 0) return null;
    for (let i = 0; i < side * side; i++) x.set([((i % side + 0.5) / side * 2 - 1) * r, ((Math.floor(i / side) + 0.5) / side * 2 - 1) * r], 2 * i);
    const then = Math.max(0, t - 1), e = denoise(x, t, guided && (facts.clusters || []).length ? 0 : label, +$("guidance").value);
    const share = model.sigma[then] / model.sigma[t];
    return Array.from({ length: side * side }, (_, i) => [[x[2 * i], x[2 * i + 1]], [0, 1].map(k => {
      const j = 2 * i + k;
      return x[j] + (model.alpha[then] * e[j] + share * (x[j] - model.alpha[t] * e[j]) - x[j]) * last / 4;
    })]);
  }

  function show() {
    const i = Math.min(+$("time").value, history.length - 1);
    if (i < 0) return;
    const step = history[i], ended = step.t === 0;
    draw($("state"), step.x, null, i, facts.kind === "points" && $("field").checked ? fieldAt(step.t) : null);
    draw($("estimate"), step.estimate, filled ? null : hole, i);
    $("when").textContent = ended ? `t = 0: drawn` : `t = ${step.t} of ${last}`;
    $("time").setAttribute("aria-valuetext", $("when").textContent);
  }

  const pause = () => new Promise(done => setTimeout(done));
  async function make(known) {
    const mine = ++running, steps = Math.min(last, Math.max(1, Math.round(+$("steps").value)));
    const wish = { seed: Math.floor(+$("seed").value) || 0, steps, sampler: $("sampler").value, label, scale: guided ? +$("guidance").value : 1, known };
    history = [];
    filled = Boolean(known);
    $("fill").disabled = true;
    $("time").max = steps;
    document.body.dataset.busy = "yes";
    const began = performance.now();
    for (const step of walk(model, denoise, wish)) {
      history.push(step);
      $("time").value = history.length - 1;
      show();
      await pause();
      if (mine !== running) return;
    }
    $("took").textContent = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    delete document.body.dataset.busy;
    $("fill").disabled = !hole;
    if (facts.kind === "images") $("inpaint").hidden = false;
  }
  const anew = () => { hole = null; make(null); };

  function paint(event) {
    const canvas = $("estimate"), box = canvas.getBoundingClientRect(), [c, h, w] = shape, [columns, lines] = grid();
    const gap = model.count > 1 ? 1 : 0, wide = columns * (w + gap) - gap, high = lines * (h + gap) - gap;
    const px = (event.clientX - box.left) / box.width * wide, py = (event.clientY - box.top) / box.height * high;
    const radius = Math.max(0.9, w / 12);
    if (history.length && history[history.length - 1].t === 0) $("time").value = history.length - 1;
    hole = hole || new Uint8Array(model.count * c * h * w);
    filled = false;
    for (let n = 0; n < model.count; n++) for (let y = 0; y < h; y++) for (let z = 0; z < w; z++) {
      const dx = (n % columns) * (w + gap) + z + 0.5 - px, dy = Math.floor(n / columns) * (h + gap) + y + 0.5 - py;
      if (dx * dx + dy * dy < radius * radius) for (let k = 0; k < c; k++) hole[((n * c + k) * h + y) * w + z] = 1;
    }
    $("fill").disabled = false;
    show();
  }

  // The controls.
  const range = (id, form) => { const tell = () => { $(id + "-value").textContent = form(+$(id).value); }; $(id).addEventListener("input", tell); tell(); };
  // A distilled model samples in multiples of its segments.
  const segments = model.segments || 1;
  for (const name of ["min", "step"]) $("steps")[name] = segments;
  $("steps").max = last - last % segments;
  $("steps").value = Math.min(own.steps || last, 50);
  $("guidance").value = own.guidance_scale;
  range("steps", v => v);
  range("guidance", v => v.toFixed(1));
  $("guidance-row").hidden = !guided;
  // Trajectories without chance are lines that one can follow.
  const first = own.sampler in FRESH && !(facts.kind === "points" && own.sampler === "ddpm") ? own.sampler : "ddim";
  for (const name of Object.keys(FRESH)) {
    if (model.segments && name !== "ddim") continue;
    $("sampler").append(new Option(name, name, false, name === first));
  }
  const names = [...model.class_names.map((name, i) => [name, i + 1]), ...(guided ? [["none", 0]] : [])];
  $("classes").hidden = !label;
  if (label) for (const [name, number] of names) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", number === label);
    button.addEventListener("click", () => {
      label = number;
      for (const other of $("classes").querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
      anew();
    });
    $("class-buttons").append(button);
  }
  for (const box of document.querySelectorAll(".for-points")) box.hidden = facts.kind !== "points";
  $("field").parentElement.hidden = facts.kind !== "points" || shape[0] !== 2;
  for (const box of document.querySelectorAll(".for-many")) box.hidden = facts.kind !== "points" || shape[0] < 3;
  ["across", "up"].forEach((id, i) => {
    if (facts.kind === "points") columns.forEach((name, k) => $(id).append(new Option(name, k, false, k === Math.min(i, shape[0] - 1))));
    $(id).addEventListener("change", show);
  });
  $("again").addEventListener("click", anew);
  $("dice").addEventListener("click", () => { $("seed").value = Math.floor(Math.random() * 1e6); anew(); });
  $("time").addEventListener("input", show);
  for (const id of ["trails", "field"]) $(id).addEventListener("change", show);
  for (const id of ["steps", "guidance", "sampler", "seed"]) $(id).addEventListener("change", anew);
  if (facts.kind === "images") {
    const canvas = $("estimate");
    canvas.classList.add("paintable");
    canvas.addEventListener("pointerdown", e => { if (document.body.dataset.busy) return; brush = true; canvas.setPointerCapture(e.pointerId); paint(e); });
    canvas.addEventListener("pointermove", e => { if (brush) paint(e); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { brush = false; });
  }
  $("fill").addEventListener("click", () => {
    const known = { x: history[history.length - 1].x, hole };
    $("seed").value = (+$("seed").value || 0) + 1;
    make(known);
  });
  $("clear").addEventListener("click", () => { hole = null; $("fill").disabled = true; show(); });
  addEventListener("resize", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

  // The page against torch's answer, and how long an evaluation takes.
  const given = model.test.given.map((text, i) => model.names[i] === "labels" ? new Float64Array(bytesOf(text)) : Float32Array.from(new Float64Array(bytesOf(text))));
  const expected = new Float64Array(bytesOf(model.test.answer)), found = network(given);
  const off = expected.reduce((most, v, i) => { const d = Math.abs(v - found[i]); return d > most || Number.isNaN(d) ? d : most; }, 0);
  const took = Array.from({ length: 9 }, () => { const began = performance.now(); network(given); return performance.now() - began; });
  const each = took.sort((a, b) => a - b)[4], good = off <= model.tolerance, path = fast ? "WebAssembly" : "JavaScript";
  $("selftest").textContent = (good ? "This page answers as torch does" : "This page does NOT answer as torch does")
    + `: one evaluation of ${model.count === 1 ? "a sample" : model.count + " samples"} is ${off.toExponential(1)} off (at most ${model.tolerance} is allowed), and takes ${each.toFixed(1)} ms here, by ${path}.`;
  Object.assign($("selftest").dataset, { off, each, good, path });
  anew();
})();
