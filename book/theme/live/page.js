"use strict";
// The page around the method: pictures, learning, drawing, maps. All stays in this browser.

(async (root) => {
  const find = (selector) => root.querySelector(selector);
  const said = find(".kd-said");
  const say = (text) => said.replaceChildren(text);
  const act = (name, does) => find(`[data-do="${name}"]`).addEventListener(name === "files" ? "change" : "click", does);
  const frame = () => new Promise((next) => setTimeout(next)); // the browser draws and listens in between
  const { recipe, materials } = assets;
  const [SIDE, LARGE] = [recipe.size, 256]; // what the networks see, what is drawn on
  const POINTS = recipe.critical_points;
  const APART = 4; // one in so many pictures is kept apart, for the threshold
  const FULL = 2; // a map is full where it is so many times the brightest place of a good picture

  try {
    await method.start(assets.wasm);
  } catch {
    const explorer = said.querySelector("a");
    return said.replaceChildren(
      "This browser has no WebAssembly with SIMD: nothing can be learned here. The ",
      explorer,
      " shows maps that were computed before.",
    );
  }
  const source = new method.Source(method.unpack(assets.source));
  const pick = (values) => Object.fromEntries(POINTS.map((point) => [point, values(point)]));
  say("Choose a material, or five or more pictures of your own.");

  // --- Pictures ------------------------------------------------------------------------------------------------------
  let [good, spare, own] = [[], [], false]; // canvases: to learn from, to draw on; whether they are the reader's

  /** A square canvas with the middle of the image at an address. */
  async function square(address) {
    const [image, made] = [new Image(), document.createElement("canvas")];
    image.src = address;
    await image.decode();
    made.width = made.height = LARGE;
    const side = Math.min(image.width, image.height);
    const corner = [(image.width - side) / 2, (image.height - side) / 2];
    made.getContext("2d").drawImage(image, ...corner, side, side, 0, 0, LARGE, LARGE);
    return made;
  }

  /** Canvases as the networks see them: (B, SIDE, SIDE, 3). */
  function prepared(canvases) {
    const small = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
    small.imageSmoothingQuality = "high";
    const pixels = canvases.flatMap((canvas) => {
      small.drawImage(canvas, 0, 0, SIDE, SIDE);
      return [...small.getImageData(0, 0, SIDE, SIDE).data.filter((_, i) => i % 4 < 3)]; // without opacity
    });
    return method.prepare(pixels, SIDE, assets);
  }

  const isApart = (_, n) => n % APART === APART - 1;

  function show(pictures, rest) {
    [good, spare] = [pictures, rest];
    find(".kd-pictures").replaceChildren(...good);
    for (const [n, canvas] of good.entries()) canvas.classList.toggle("kd-apart", isApart(canvas, n));
    find('[data-do="learn"]').disabled = good.length < APART;
    const apart = good.filter(isApart).length;
    say(
      good.length < APART
        ? `${good.length} of at least ${APART} pictures to learn from, and one more to draw on.`
        : `${good.length - apart} pictures to learn, ${apart} kept apart (dashed) for the threshold.`,
    );
  }

  for (const button of root.querySelectorAll("[data-material]"))
    button.addEventListener("click", async () => {
      own = false;
      const all = await Promise.all(materials[button.dataset.material].map(square));
      show(all.slice(0, assets.learn), all.slice(assets.learn));
    });

  async function take(files) {
    const read = await Promise.allSettled([...files].map((file) => square(URL.createObjectURL(file))));
    const pictures = read.filter((each) => each.value).map((each) => each.value);
    const all = [...(own ? [...good, ...spare] : []), ...pictures];
    show(all.slice(0, -1), all.slice(-1)); // nothing has seen the last one: it is there to draw on
    own = true;
    if (pictures.length < read.length) said.append(` Not read: ${read.length - pictures.length} files.`);
  }
  act("files", (event) => take(event.target.files));
  for (const kind of ["dragover", "dragleave", "drop"])
    find("fieldset").addEventListener(kind, (event) => {
      event.preventDefault();
      find("fieldset").classList.toggle("kd-over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files);
    });

  // --- Learning ------------------------------------------------------------------------------------------------------
  let [detector, learning] = [null, false]; // the detector holds what was learned, and all that its scores need

  act("learn", async (event) => {
    learning = !learning; // the same button ends it early
    if (!learning) return;
    event.target.textContent = "Enough";
    await learn();
    learning = false;
    event.target.textContent = "Learn";
    test();
  });

  async function learn() {
    const begin = performance.now();
    const seconds = () => `${((performance.now() - begin) / 1000).toFixed(0)} s`;
    const parts = [good.filter((...each) => !isApart(...each)), good.filter(isApart)];
    if (detector) tf.dispose([detector.cloner.tensors, detector.untrained.tensors, detector.known, detector.apart]);
    // The source is frozen: its activations of all pictures are computed once.
    const each = [];
    for (const canvas of parts.flat()) {
      each.push(tf.tidy(() => source.forward(prepared([canvas]))));
      say(`Source: activations of picture ${each.length} of ${good.length}, ${seconds()}.`);
      await frame();
    }
    const join = (part) => pick((point) => tf.concat(part.map((activations) => activations[point])));
    const [known, apart] = [each.slice(0, parts[0].length), each.slice(parts[0].length)].map(join);
    const [x, held] = parts.map(prepared);
    const cloner = method.Cloner.untrained(assets.cloner);
    const untrained = new method.Cloner(cloner.tensors); // a copy
    const settings = { points: POINTS, lam: method.balancedLambda(cloner, x, known, POINTS) };
    const adam = tf.train.adam(recipe.learning_rate, 0.9, 0.999, 1e-8);
    const curves = [[], []];
    while (curves[0].length < recipe.epochs && learning) {
      const order = Array.from(tf.util.createShuffledIndices(parts[0].length));
      let total = 0;
      while (order.length) {
        const chosen = order.splice(0, recipe.batch_size);
        const batch = tf.tidy(() => [tf.gather(x, chosen), pick((point) => tf.gather(known[point], chosen))]);
        total += method.step(adam, cloner, ...batch, settings) * chosen.length;
        tf.dispose(batch);
        await frame();
      }
      curves[0].push(total / parts[0].length);
      tf.tidy(() => {
        const found = cloner.forward(held);
        curves[1].push(tf.mean(method.discrepancy(apart, found, settings)).dataSync()[0]);
        showActivations(apart, found);
      });
      showCurves(curves);
      const [now, then] = curves.map((curve) => curve.at(-1).toFixed(2));
      say(
        `Epoch ${curves[0].length} of ${recipe.epochs}, ${seconds()}: discrepancy ${now}, of pictures kept apart ${then}.`,
      );
    }
    const terms = (network) =>
      tf.tidy(() => {
        const found = network.forward(held);
        return pick((point) => method.lossTerms(apart[point], found[point]).map((term) => term.dataSync()));
      });
    detector = {
      cloner,
      untrained,
      known,
      apart,
      good: parts[1],
      lam: settings.lam,
      terms: [cloner, untrained].map(terms),
    };
    tf.dispose([each, x, held]);
    adam.dispose();
    say(`Learned ${parts[0].length} pictures in ${seconds()}.`);
  }

  function showCurves(curves) {
    const logs = curves.map((curve) => curve.map(Math.log));
    const [low, high] = [Math.min(...logs.flat()), Math.max(...logs.flat()) + 1e-6];
    const place = (y, i) => `${40 + (260 * i) / (recipe.epochs - 1)},${5 + (90 * (high - y)) / (high - low)}`;
    for (const [n, line] of root.querySelectorAll("polyline").entries())
      line.setAttribute("points", logs[n].map(place).join(" "));
    const texts = [Math.exp(high).toFixed(1), Math.exp(low).toFixed(1), `epoch ${recipe.epochs}`];
    for (const [n, text] of root.querySelectorAll("svg text").entries()) text.textContent = texts[n];
    const [first, last] = [curves[1][0], curves[1].at(-1)].map((y) => y.toFixed(2));
    find("svg").setAttribute("aria-label", `Discrepancy of pictures kept apart: ${first} after one epoch, ${last} now`);
  }

  /** Of the first picture kept apart, the source's liveliest channel at each critical point, and the cloner's same. */
  function showActivations(...networks) {
    for (const figure of root.querySelectorAll("[hidden]")) figure.hidden = false;
    for (const [p, point] of POINTS.entries()) {
      const maps = networks.map((each) => tf.transpose(tf.unstack(each[point])[0], [2, 0, 1]));
      const inner = maps[0].shape[1] - 2; // the border is lively where it only sees that the picture ends
      const middle = tf.slice(maps[0], [0, 1, 1], [-1, inner, inner]);
      const channel = tf.argMax(tf.moments(middle, [1, 2]).variance).dataSync()[0];
      const values = maps.map((map) => tf.gather(map, channel).dataSync());
      for (const [n, grey] of values.entries())
        paint(root.querySelectorAll(".kd-activations canvas")[2 * p + n], grey, (v) => {
          return [...Array(3).fill((255 * v) / Math.max(...values[0])), 255];
        });
    }
  }

  /** Fill a canvas with a colour for each value of a square map. */
  function paint(canvas, values, colour) {
    const [pen, side] = [canvas.getContext("2d"), Math.sqrt(values.length)];
    pen.putImageData(new ImageData(Uint8ClampedArray.from([...values].flatMap(colour)), side), 0, 0);
    return canvas;
  }

  // --- Testing -------------------------------------------------------------------------------------------------------
  const WAYS = {
    gradients: "Gradient, Eq. 5 and 6",
    positions: "By position",
    untrained: "Untrained cloner",
    memory: "Memory",
  };
  let [draw, pen, drawing, busy, again] = []; // the canvas to draw on and its context; a hand is down; work is going on
  let [limits, brightest] = []; // by way, with the settings of now: the threshold; the brightest place of a good picture

  function settings() {
    const value = (name) => find(`[data-set="${name}"]`).value;
    const lam = detector.lam * (value("lam") > -6 ? 2 ** value("lam") : 0);
    return { points: value("points").split(","), lam, sigma: +value("sigma"), side: SIDE };
  }

  /** Score and map of a canvas by each way; gradients take longest, and wait until the hand rests. */
  function judge(canvas, now) {
    return tf.tidy(() => {
      const x = prepared([canvas]);
      const [s, c, u] = [source, detector.cloner, detector.untrained].map((network) => network.forward(x));
      const raw = { memory: method.nearest(s, detector.known, now), untrained: method.positions(s, u, now) };
      raw.positions = method.positions(s, c, now);
      if (!drawing) raw.gradients = method.attribution(source, detector.cloner, x, now);
      const smooth = ([way, map]) => [way, method.localizationMap(tf.squeeze(map, [0]), now).dataSync()];
      const [untrained, positions] = [u, c].map((each) => method.discrepancy(s, each, now).dataSync()[0]);
      const scores = { untrained, positions, gradients: positions, memory: tf.max(raw.memory).dataSync()[0] };
      return { scores, maps: Object.fromEntries(Object.entries(raw).map(smooth)) };
    });
  }

  /** The threshold of each way is the highest score of a picture kept apart. */
  function calibrate(now) {
    const highest = (terms) => {
      const score = (n) => now.points.reduce((sum, p) => sum + terms[p][0][n] + now.lam * terms[p][1][n], 0);
      return Math.max(...detector.good.map((_, n) => score(n)));
    };
    const [positions, untrained] = detector.terms.map(highest);
    const distance = (n) =>
      tf.tidy(() => {
        const one = pick((point) => tf.gather(detector.apart[point], [n]));
        return tf.max(method.nearest(one, detector.known, now)).dataSync()[0];
      });
    limits = {
      positions,
      gradients: positions,
      untrained,
      memory: Math.max(...detector.good.map((_, n) => distance(n))),
    };
    brightest = Object.fromEntries(
      Object.entries(judge(detector.good[0], now).maps).map(([way, map]) => [way, Math.max(...map)]),
    );
  }

  function answer() {
    const now = settings();
    if (!limits) calibrate(now);
    const { scores, maps } = judge(draw, now);
    for (const [way, map] of Object.entries(maps)) {
      const canvas = find(`[data-map="${way}"]`);
      const verdict = `score ${scores[way].toPrecision(3)}, threshold ${limits[way].toPrecision(3)}: `;
      canvas.nextElementSibling.textContent = `${WAYS[way]}: ${verdict}${scores[way] > limits[way] ? "anomalous" : "good"}`;
      canvas.setAttribute("aria-label", `Map over the picture: ${WAYS[way]}`);
      const opacity = (v) => 255 * Math.min(1, Math.max(0, v / brightest[way] / FULL)) ** 1.5;
      const glow = paint(new OffscreenCanvas(SIDE, SIDE), map, (v) => [255, 90, 0, opacity(v)]);
      canvas.getContext("2d").drawImage(draw, 0, 0);
      canvas.getContext("2d").drawImage(glow, 0, 0, LARGE, LARGE);
    }
    const found = scores.positions > limits.positions ? "above the threshold: anomalous" : "below the threshold: good";
    find(".kd-verdict").textContent = `The discrepancy is ${scores.positions.toPrecision(3)}, ${found}.`;
    root.dataset.turn = 1 + +(root.dataset.turn ?? 0); // drawn
  }

  async function update() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await frame();
      answer();
    }
    busy = false;
  }

  function reset() {
    limits = null;
    const { lam, sigma } = settings();
    for (const [name, text] of Object.entries({ lam: lam.toPrecision(3), sigma: sigma.toFixed(1) })) {
      find(`[data-set="${name}"]`).setAttribute("aria-valuetext", text);
      find(`[data-set="${name}"]`).parentElement.querySelector("b").textContent = text;
    }
    update();
  }

  function clean(next) {
    spare.push(...spare.splice(0, next));
    pen.drawImage(spare[0], 0, 0);
    update();
  }

  /** One touch of the chosen tool, from a place to a place. */
  function touch([x0, y0], [x1, y1]) {
    const tool = find('[data-do="tool"]').value;
    if (tool === "patch") pen.drawImage(draw, LARGE - x1 - 28, LARGE - y1 - 28, 56, 56, x1 - 28, y1 - 28, 56, 56);
    else {
      [pen.lineWidth, pen.strokeStyle, pen.lineCap] = tool === "blot" ? [40, "#222", "round"] : [7, "#eee", "round"];
      pen.stroke(new Path2D(`M ${x0} ${y0} L ${x1} ${y1 + 0.01}`));
    }
    update();
  }

  function atRandom() {
    const random = (low, high) => low + (high - low) * Math.random();
    const [x, y, angle] = [random(60, 100), random(60, 196), random(0, Math.PI)];
    const length = find('[data-do="tool"]').value === "scratch" ? 45 : 0;
    const [dx, dy] = [length * Math.cos(angle), length * Math.sin(angle)];
    touch([x - dx, y - dy], [x + dx, y + dy]);
  }

  /** The second step: there once something is learned. */
  function test() {
    if (!draw) {
      root.append(find("template").content);
      find('[data-set="sigma"]').value = recipe.sigma;
      draw = find(".kd-draw");
      pen = draw.getContext("2d", { willReadFrequently: true });
      const place = (event) => [event.offsetX, event.offsetY].map((v) => (v * LARGE) / draw.clientWidth);
      draw.addEventListener("pointerdown", (event) => {
        draw.setPointerCapture(event.pointerId);
        drawing = place(event);
        touch(drawing, drawing);
      });
      draw.addEventListener("pointermove", (event) => {
        if (!drawing) return;
        touch(drawing, place(event));
        drawing = place(event);
      });
      for (const kind of ["pointerup", "pointercancel"])
        draw.addEventListener(kind, () => {
          drawing = null;
          update();
        });
      act("random", atRandom);
      act("clean", () => clean(0));
      act("another", () => clean(1));
      for (const control of root.querySelectorAll("[data-set]")) control.addEventListener("input", reset);
    }
    pen.drawImage(spare[0], 0, 0);
    reset();
  }
})(document.querySelector(".kd-live"));
