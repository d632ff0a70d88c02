"use strict";
(() => {
  const GAP = 2, colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const series = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6"];
  const redraws = [];

  const unpack = (p) => {
    const raw = atob(p.data), out = new Float32Array(raw.length / 2), span = (p.high - p.low) / 65535;
    for (let i = 0; i < out.length; i++) out[i] = p.low + span * (raw.charCodeAt(2 * i) + 256 * raw.charCodeAt(2 * i + 1));
    return out;
  };
  const loaded = (uri) => new Promise((done) => { const image = new Image(); image.onload = () => done(image); image.src = uri; });
  const read = (box) => JSON.parse(box.querySelector("script.data").textContent);
  const widthOf = (canvas) => canvas.parentElement.clientWidth;

  // Tiles: whole multiples of the pixels that there are, so that every pixel of a tile is a square.
  function tiles(canvas, image, row, o) {
    const ratio = window.devicePixelRatio || 1, [h, w] = o.tile, n = o.order.length;
    const columns = Math.min(o.columns, n), lines = Math.ceil(n / columns);
    const gap = Math.max(1, Math.round(GAP * ratio)), wide = Math.floor(widthOf(canvas) * ratio);
    const most = Math.ceil((o.most || 64) * ratio / w);
    const scale = Math.max(1, Math.min(most, Math.floor((wide - gap * (columns - 1)) / (columns * w))));
    const head = o.heads ? Math.round(18 * ratio) : 0, under = Math.round(26 * ratio);
    const stepX = w * scale + gap, told = (line) => o.under && o.under.slice(line * columns, (line + 1) * columns).some(Boolean);
    const tops = [head];
    for (let line = 0; line < lines; line++) tops.push(tops[line] + h * scale + gap + (told(line) ? under : 0));
    canvas.width = columns * stepX - gap;
    canvas.height = tops[lines] - gap;
    canvas.style.width = canvas.width / ratio + "px";
    const g = canvas.getContext("2d");
    g.imageSmoothingEnabled = false;
    g.fillStyle = colour("--soft");
    g.font = Math.round(12 * ratio) + "px system-ui, sans-serif";
    g.textAlign = "center";
    const fits = (texts) => texts.every((t) => g.measureText(t).width <= stepX);
    const kept = (t, n) => n < t.length ? t.slice(0, n) + "…" : t;
    const cut = (t) => { let n = t.length; while (n && !fits([kept(t, n)])) n--; return kept(t, n); };
    if (o.heads) o.heads.forEach((t, k) => g.fillText(cut(t), k * stepX + w * scale / 2, head - 6 * ratio));
    o.order.forEach((source, k) => {
      const x = (k % columns) * stepX, y = tops[Math.floor(k / columns)];
      const [r, c] = Array.isArray(source) ? source : [row, source];
      g.fillStyle = colour("--line");  // between tiles, which may be as dark as the page
      g.fillRect(x - gap, y - gap, w * scale + 2 * gap, h * scale + 2 * gap);
      g.fillStyle = colour("--soft");
      g.drawImage(image, c * w, r * h, w, h, x, y, w * scale, h * scale);
      if (o.under && o.under[k] && fits(o.under)) g.fillText(o.under[k], x + w * scale / 2, y + h * scale + 14 * ratio);
    });
  }

  function board(canvas, shape) {
    const ratio = window.devicePixelRatio || 1, wide = Math.min(widthOf(canvas), 560);
    canvas.classList.add("plot");
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(wide * shape * ratio);
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    return [g, wide, wide * shape];
  }

  // An axis from one place to another: its ends, and its name between them.
  const short = (v) => String(+v.toPrecision(3));
  function axis(g, [name, low, high], from, to, at) {
    g.textAlign = "left"; g.fillText(short(low), from, at);
    g.textAlign = "right"; g.fillText(short(high), to, at);
    g.textAlign = "center"; g.fillText(name, (from + to) / 2, at, (to - from) * 0.6);
  }
  function axes(g, a, b, pad, w, h) {
    g.fillStyle = colour("--soft"); g.font = "12px system-ui, sans-serif";
    axis(g, a, pad, w - 8, h - 9);
    g.save(); g.translate(0, h); g.rotate(-Math.PI / 2); axis(g, b, pad, h - 8, 18); g.restore();
    g.strokeStyle = colour("--line"); g.strokeRect(pad, 8, w - pad - 8, h - pad - 8);
    g.beginPath(); g.rect(pad, 8, w - pad - 8, h - pad - 8); g.clip();
  }

  // Which two columns of points are seen; a single one is seen beside the numbers of the points.
  function columns(box, o, draw) {
    const chosen = [...box.querySelectorAll("select")];
    chosen.forEach((select, i) => { select.selectedIndex = i; select.addEventListener("change", draw); });
    return () => {
      const k = chosen.length ? chosen.map((select) => select.selectedIndex) : [0, 1];
      return { k, axes: k.map((i) => o.axes[i] || ["sample", 1, o.count]) };
    };
  }

  function points(canvas, o, x, row, extra) {
    const [g, w, h] = board(canvas, 1), pad = 30, [a, b] = extra.axes, d = o.axes.length;
    const place = (i, axis, from, length) => from + (i - axis[1]) / (axis[2] - axis[1]) * length;
    const px = (v) => place(v, a, pad, w - pad - 8), py = (v) => h - place(v, b, pad, h - pad - 8);
    axes(g, a, b, pad, w, h);
    const dot = (vx, vy, r) => { g.beginPath(); g.arc(px(vx), py(vy), r, 0, 7); g.fill(); };
    const n = o.count, at = (t, i, k) => k < d ? x[(t * n + i) * d + k] : i + 1;
    if (extra.real) {
      g.globalAlpha = .22; g.fillStyle = colour("--soft");
      for (let i = 0; i < extra.real.length / d; i++) dot(extra.real[i * d + extra.k[0]], extra.k[1] < d ? extra.real[i * d + extra.k[1]] : 1 + i % n, 1.6);
    }
    if (extra.field) {
      g.globalAlpha = .5; g.strokeStyle = colour("--soft"); g.lineWidth = 1;
      const m = extra.at.length / 2, cell = (w - pad) / Math.sqrt(m) * .85;
      for (let i = 0; i < m; i++) {
        const gx = extra.at[2 * i], gy = extra.at[2 * i + 1], k = (row * m + i) * 2;
        let dx = px(extra.field[k]) - px(gx), dy = py(extra.field[k + 1]) - py(gy);
        const long = Math.hypot(dx, dy) || 1, s = Math.min(1, cell / long);
        const ex = px(gx) + dx * s, ey = py(gy) + dy * s, turn = Math.atan2(dy, dx);
        g.beginPath(); g.moveTo(px(gx), py(gy)); g.lineTo(ex, ey);
        if (s * long > 4) { g.lineTo(ex - 4 * Math.cos(turn - .5), ey - 4 * Math.sin(turn - .5)); g.moveTo(ex, ey); g.lineTo(ex - 4 * Math.cos(turn + .5), ey - 4 * Math.sin(turn + .5)); }
        g.stroke();
      }
    }
    const [k0, k1] = extra.k;
    if (extra.trails) {
      g.lineWidth = 1.2; g.globalAlpha = .55;
      for (let i = 0; i < Math.min(n, 48); i++) {
        g.strokeStyle = colour(series[o.groups ? o.groups[i] % 6 : 0]); g.beginPath();
        for (let t = 0; t <= row; t++) g.lineTo(px(at(t, i, k0)), py(at(t, i, k1)));
        g.stroke();
      }
    }
    g.globalAlpha = .8;
    for (let i = 0; i < n; i++) { g.fillStyle = colour(series[o.groups ? o.groups[i] % 6 : 0]); dot(at(row, i, k0), at(row, i, k1), 2.1); }
    g.globalAlpha = 1;
  }

  function curves(canvas, o, x, row) {
    const [g, w, h] = board(canvas, .62), pad = 30, [n, c, l] = [o.count, o.channels, o.length];
    const [low, high] = o.range, py = (v) => 8 + (high - v) / (high - low) * (h - pad - 8);
    axes(g, ["position", 0, l - 1], ["value", low, high], pad, w, h);
    g.lineWidth = 1.5; g.globalAlpha = .8;
    for (let i = 0; i < n; i++) for (let k = 0; k < c; k++) {
      g.strokeStyle = colour(series[(o.groups ? o.groups[i] : k) % 6]); g.beginPath();
      for (let p = 0; p < l; p++) g.lineTo(pad + p / Math.max(1, l - 1) * (w - pad - 8), py(x[((row * n + i) * c + k) * l + p]));
      g.stroke();
    }
  }

  async function start(box) {
    const o = read(box), slider = box.querySelector("input[type=range]"), said = box.querySelector(".said");
    const canvases = [box.querySelector(".state"), box.querySelector(".estimate")];
    const tabs = [...box.querySelectorAll("[role=tab]")], play = box.querySelector(".play");
    const trails = box.querySelector(".trails"), field = box.querySelector(".field");
    const make = o.drawing === "tiles" ? loaded : async (p) => unpack(p);
    const sheets = await Promise.all(o.tabs.map((t) => Promise.all([make(t.state), make(t.estimate)])));
    const real = o.real ? unpack(o.real) : null, arrows = o.field ? [unpack(o.field.at), unpack(o.field.to)] : null;
    let chosen = o.tabs.findIndex((tab) => tab.own), timer = 0;
    const seen = columns(box, o, () => draw());
    const draw = () => {
      const row = +slider.value, time = o.times[row];
      const text = `t = ${time.t}: ${time.signal} % signal, ${time.noise} % noise`;
      if (said.textContent !== text) said.textContent = text;
      slider.setAttribute("aria-valuetext", text);
      canvases.forEach((canvas, k) => {
        const x = sheets[chosen][k];
        if (o.drawing === "tiles") tiles(canvas, x, row, o);
        else if (o.drawing === "curves") curves(canvas, o, x, row);
        else {
          const shown = arrows && field && field.checked && k === 0;
          points(canvas, o, x, row, { ...seen(), real, trails: trails.checked && k === 0, at: arrows && arrows[0], field: shown && arrows[1] });
        }
      });
    };
    const choose = (k, focus) => {
      chosen = k;
      tabs.forEach((tab, i) => { tab.setAttribute("aria-selected", String(i === k)); tab.tabIndex = i === k ? 0 : -1; });
      box.querySelector(".pair").setAttribute("aria-labelledby", tabs[k].id);
      if (focus) tabs[k].focus();
      draw();
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => choose(i, false));
      tab.addEventListener("keydown", (e) => {
        const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[e.key];
        if (to === undefined) return;
        e.preventDefault();
        choose((to + tabs.length) % tabs.length, true);
      });
    });
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; said.setAttribute("aria-live", "polite"); };
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (+slider.value === +slider.max) slider.value = 0;
      play.textContent = "Pause";
      said.setAttribute("aria-live", "off");
      draw();
      timer = setInterval(() => { slider.value = +slider.value + 1; draw(); if (+slider.value === +slider.max) stop(); }, 140);
    });
    slider.addEventListener("input", () => { if (timer) stop(); draw(); });
    for (const tick of [trails, field]) if (tick) tick.addEventListener("change", draw);
    redraws.push(draw);
    draw();
  }

  async function sets(box) {
    const o = read(box), canvases = [...box.querySelectorAll("canvas")];
    const made = await Promise.all(o.parts.map((p) => o.drawing === "tiles" ? loaded(p.values) : unpack(p.values)));
    const seen = columns(box, o, () => draw());
    const draw = () => canvases.forEach((canvas, k) => {
      const own = { ...o, groups: o.parts[k].groups, count: o.parts[k].count };
      if (o.drawing === "tiles") tiles(canvas, made[k], 0, own);
      else if (o.drawing === "curves") curves(canvas, own, made[k], 0);
      else points(canvas, own, made[k], 0, seen());
    });
    redraws.push(draw);
    draw();
  }

  async function nearest(box) {
    const o = read(box), image = await loaded(o.values), canvas = box.querySelector("canvas"), n = o.under.length;
    const draw = () => {
      const columns = Math.max(1, Math.min(n, Math.floor(widthOf(canvas) / Math.max(52, o.tile[1] + GAP))));
      const order = [], under = [];
      for (let first = 0; first < n; first += columns) for (const r of [0, 1]) for (let k = first; k < Math.min(first + columns, n); k++) {
        order.push([r, k]); under.push(r ? o.under[k] : "");
      }
      tiles(canvas, image, 0, { ...o, order: n % columns ? order.slice(0, 2 * columns * Math.floor(n / columns)) : order, under, columns });
    };
    redraws.push(draw);
    draw();
  }

  const ready = [
    ...[...document.querySelectorAll(".walk")].map(start),
    ...[...document.querySelectorAll(".sets")].map(sets),
    ...[...document.querySelectorAll(".nearest")].map(nearest),
  ];
  Promise.all(ready).then(() => { document.documentElement.dataset.ready = "yes"; });
  let waiting = 0;
  const again = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => redraws.forEach((draw) => draw())); };
  window.addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
