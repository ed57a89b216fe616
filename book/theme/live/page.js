"use strict";
// The page around the method: pictures, learning, drawing, maps. All stays in this browser.
(async (root) => {
  const all = (selector) => [...root.querySelectorAll(selector)];
  const find = (selector) => root.querySelector(selector);
  const say = (text) => find(".kd-said").replaceChildren(text);
  const frame = () => new Promise((next) => setTimeout(next)); // the browser draws and listens in between

  if (!(await method.start(assets.wasm))) return; // what the page says until now stays
  const source = new method.Source(method.read(await method.bytes(assets.source)).tensors);
  const untrained = method.read(await method.bytes(assets.untrained)); // a detector's file
  const beginner = new method.Cloner(untrained.tensors);
  const recipe = JSON.parse(untrained.about.recipe);
  const [POINTS, LARGE] = [recipe.critical_points, assets.large]; // LARGE: pixels, side of what is drawn on
  const FULL = 2; // a map is full where it is so many times the brightest place of a good picture
  let [good, spare, own] = [[], [], []]; // canvases: to learn from, to draw on, the reader's
  let [learnable, detector, learning, drawing, waiting] = []; // how many to learn; what was learned; what is under way

  // --- Pictures ------------------------------------------------------------------------------------------------------
  /** A square canvas of the middle of a picture: of a file, or of the camera. */
  async function square(from) {
    const image = await createImageBitmap(from);
    const canvas = Object.assign(document.createElement("canvas"), { width: LARGE, height: LARGE });
    const [pen, side] = [canvas.getContext("2d", { willReadFrequently: true }), Math.min(image.width, image.height)];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, LARGE, LARGE);
    return canvas;
  }

  /** Canvases as the networks see them: (B, S, S, 3). */
  function prepared(canvases) {
    const times = LARGE / recipe.size;
    const small = (canvas) => tf.avgPool(tf.cast(tf.browser.fromPixels(canvas), "float32"), times, times, "valid");
    return tf.tidy(() => method.prepare(tf.stack(canvases.map(small)), assets));
  }

  function show(pictures, count) {
    [good, spare] = [pictures.slice(0, count), pictures.slice(count)];
    find(".kd-pictures").replaceChildren(...good);
    learnable = Math.ceil(0.75 * good.length);
    for (const [n, canvas] of good.entries()) canvas.classList.toggle("kd-apart", n >= learnable);
    find('[data-do="learn"]').disabled = good.length < 4;
    say(`${learnable} pictures to learn, ${good.length - learnable} kept apart (dashed), ${spare.length} to draw on.`);
    clean();
  }

  async function material(button) {
    own = [];
    const files = assets.materials[button.value].map(async (text) => square(new Blob([await method.bytes(text)])));
    show(await Promise.all(files), assets.learn);
  }

  /** Add pictures of the reader. Nothing has seen the last one: it is there to draw on. */
  const add = (pictures) => show(own, own.push(...pictures) - 1);

  /** Open files of the reader, pictures or a detector, and say which are neither. */
  async function open(files) {
    const [pictures, refused] = [[], []];
    for (const file of files)
      try {
        if (file.name.endsWith(".safetensors")) load(await file.arrayBuffer());
        else pictures.push(await square(file));
      } catch (error) {
        refused.push(` ${file.name} is not taken: ${error.message}`);
      }
    if (pictures.length) add(pictures);
    find(".kd-said").append(...refused);
  }

  /** Open the camera, or close it. */
  async function camera(button) {
    const [video, wanted] = [find("video"), { video: { facingMode: "environment" } }];
    const refused = (error) => say(`The camera stays closed: ${error.message}.`);
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = video.srcObject ? null : await navigator.mediaDevices.getUserMedia(wanted).catch(refused);
    if (video.srcObject) await video.play(); // before the first frame there is no picture to take
    find(".kd-camera").hidden = !video.srcObject;
    button.textContent = video.srcObject ? "Close the camera" : "Camera";
  }

  // --- Learning ------------------------------------------------------------------------------------------------------
  async function learn(button) {
    learning = !learning; // the same button ends it early
    if (!learning) return;
    button.textContent = "Enough";
    const begin = performance.now();
    const seconds = () => Math.round((performance.now() - begin) / 1000);
    const [count, looks] = [learnable, []];
    for (const canvas of good) {
      const x = prepared([canvas]);
      looks.push({ x, ...tf.tidy(() => source.forward(x)) }); // once: the source is frozen
      say(`The source has looked at picture ${looks.length} of ${good.length}, ${seconds()} s.`);
      await frame();
    }
    const join = (part) => Object.fromEntries(["x", ...POINTS].map((key) => [key, tf.concat(part.map((a) => a[key]))]));
    const [known, apart] = [looks.slice(0, count), looks.slice(count)].map(join);
    const cloner = new method.Cloner(untrained.tensors);
    const settings = { points: POINTS, lam: method.balancedLambda(cloner, known.x, known, POINTS) };
    const adam = tf.train.adam(recipe.learning_rate, 0.9, 0.999, 1e-8);
    const [losses, others] = [[], []]; // of each epoch: of the pictures that it learns, of those kept apart
    do {
      const order = looks.slice(0, count);
      tf.util.shuffle(order);
      let total = 0;
      while (order.length) {
        const batch = join(order.splice(0, recipe.batch_size));
        total += method.step(adam, cloner, batch.x, batch, settings) * batch.x.shape[0];
        tf.dispose(batch);
        await frame();
      }
      losses.push(total / count);
      tf.tidy(() => {
        const found = cloner.forward(apart.x);
        others.push(tf.mean(method.discrepancy(apart, found, settings)).dataSync()[0]);
        showActivations(apart, found);
      });
      showCurves(losses, others);
      const now = [losses, others].map((curve) => curve.at(-1).toFixed(2)).join(", kept apart ");
      say(`Epoch ${losses.length} of ${recipe.epochs}, ${seconds()} s: discrepancy ${now}.`);
    } while (losses.length < recipe.epochs && learning);
    learning = false;
    button.textContent = "Learn";
    say(`Learned ${count} pictures in ${seconds()} s.`);
    const scores = tf.tidy(() => method.discrepancy(apart, cloner.forward(apart.x), settings));
    const training = { lam: settings.lam, epoch: losses.length, losses, seconds: seconds() };
    const about = { ...untrained.about, training: JSON.stringify(training) };
    tf.dispose(looks);
    adam.dispose();
    test({ about, cloner, scores, known, apart });
  }

  /** Discrepancies by epoch, logarithmic. */
  function showCurves(...curves) {
    const [low, high] = [Math.min(...curves.flat()), Math.max(...curves.flat())];
    const place = (y, i) => `${(300 * i) / (recipe.epochs - 1)},${100 * (Math.log(high / y) / Math.log(high / low))}`;
    for (const [n, line] of all("polyline").entries()) line.setAttribute("points", curves[n].map(place).join(" "));
    for (const [n, y] of [high, low].entries()) all("svg text")[n].textContent = y.toFixed(1);
    find(".kd-course").hidden = false;
  }

  /** Of the first picture, at each critical point the source's liveliest channel, and beside it the cloner's same. */
  function showActivations(...networks) {
    for (const [p, point] of POINTS.entries()) {
      const [s, c] = networks.map((each) => tf.unstack(each[point])[0]);
      const inner = tf.slice(s, [1, 1], [s.shape[0] - 2, s.shape[1] - 2]); // borders are lively in any picture
      const channel = tf.argMax(tf.max(inner, [0, 1])).dataSync()[0];
      const pair = tf.concat([tf.gather(s, channel, 2), tf.gather(c, channel, 2)], 1);
      tf.browser.toPixels(tf.div(pair, tf.max(pair)), all(".kd-activations canvas")[p]);
    }
  }

  // --- Files of detectors --------------------------------------------------------------------------------------------
  /** Take a detector's file, of kdlib or of this page. Throws: why it does not fit. */
  function load(content) {
    const { about, tensors } = method.read(content);
    const settings = ({ format, checksum, recipe }) => ({ format, checksum, ...JSON.parse(recipe ?? "{}") });
    const [found, here] = [about, untrained.about].map(settings);
    const network = ["cloner", "norm_shift", "conv_bias", "critical_points"];
    for (const name of ["format", "checksum", "size", "crop", "levels", "normalize", ...network, "score_lam"])
      if (`${found[name]}` !== `${here[name]}`)
        throw new Error(`its ${name} is ${found[name]}, and this page takes ${here[name]}.`);
    if (!tensors.held_out_scores) throw new Error("it has no held-out scores, of which the highest is the threshold.");
    test({ about, cloner: new method.Cloner(tensors), scores: tensors.held_out_scores });
    say(`A detector is loaded. ${spare.length ? "It is below." : "Choose pictures to test it on."}`);
  }

  function download(link) {
    const tensors = { ...detector.cloner.tensors, held_out_scores: detector.scores };
    link.href = URL.createObjectURL(method.write(tensors, detector.about));
  }

  // --- Testing -------------------------------------------------------------------------------------------------------
  const draw = find(".kd-draw");
  const { tool, points, lam, sigma } = find(".kd-test").elements; // the controls
  const pen = draw.getContext("2d", { willReadFrequently: true });
  pen.lineCap = "round";

  /** The second step, with another detector. */
  function test(another) {
    tf.dispose(detector);
    detector = another;
    const recipe = JSON.parse(detector.about.recipe);
    [points.value, lam.value, sigma.value] = [recipe.score_points, 1, recipe.sigma];
    for (const each of all(".kd-learned")) each.hidden = !detector.known; // it needs more than a file has
    find(".kd-test").hidden = false;
    clean();
  }

  /** By each way the highest score of images (B, S, S, 3), and the map of the first; gradients take longest. */
  function judge(x, now, gradients, s) {
    const found = {};
    const keep = (way, scores, maps) => {
      found[way] = { score: tf.max(scores).dataSync()[0], map: method.localizationMap(maps, now).arraySync()[0] };
    };
    const look = (s, c) => {
      keep("positions", method.discrepancy(s, c, now), method.positions(s, c, now));
      if (!detector.known) return;
      const [u, distances] = [beginner.forward(x), method.nearest(s, detector.known, now)];
      keep("untrained", method.discrepancy(s, u, now), method.positions(s, u, now));
      keep("memory", distances, distances);
    };
    if (!gradients) look(s ?? source.forward(x), detector.cloner.forward(x));
    else keep("gradients", 0, method.attribution(source, detector.cloner, x, now, look)); // score: as positions
    return found;
  }

  /** By each way the threshold, the highest score of a picture kept apart, and the brightest place of the first. */
  function calibrate(now) {
    const { apart, scores } = detector;
    const limits = judge(apart ? tf.slice(apart.x, 0, 1) : prepared(spare.slice(0, 1)), now, true);
    const highest = apart ? judge(apart.x, now, false, apart) : { positions: { score: tf.max(scores).dataSync()[0] } };
    for (const way of Object.keys(highest)) limits[way].score = highest[way].score;
    return limits;
  }

  function answer() {
    const weight = JSON.parse(detector.about.training).lam * lam.value;
    const now = { points: points.value.split(","), lam: weight, sigma: Math.abs(sigma.value), side: recipe.size };
    const key = JSON.stringify(now);
    if (detector.key !== key) Object.assign(detector, { key, limits: calibrate(now) });
    const [found, picture] = [judge(prepared([draw]), now, !drawing), tf.div(tf.browser.fromPixels(draw), 255)];
    for (const [way, { score, map }] of Object.entries(found)) {
      const { score: threshold, map: good } = detector.limits[way];
      const verdict = `threshold ${threshold.toPrecision(3)}: ${score > threshold ? "anomalous" : "good"}`;
      for (const each of all(`[data-words="${way}"]`)) each.textContent = `score ${score.toPrecision(3)}, ${verdict}`;
      const light = tf.pow(tf.clipByValue(tf.div(map, FULL * Math.max(...good.flat())), 0, 1), 1.5);
      const large = tf.image.resizeBilinear(tf.expandDims(light, 2), [LARGE, LARGE]);
      const glow = tf.add(tf.mul(picture, tf.sub(1, large)), tf.mul([1, 0.35, 0], large));
      tf.browser.toPixels(tf.minimum(glow, 1), find(`[data-map="${way}"]`));
    }
    root.dataset.turn = 1 + +(root.dataset.turn ?? 0); // drawn
  }

  /** Answer once to all that happens until then. */
  function update() {
    clearTimeout(waiting);
    waiting = setTimeout(() => detector && spare.length && tf.tidy(answer));
  }

  /** Lay a picture to draw on: the same anew, or the next. */
  function clean({ value = 0 } = {}) {
    spare.push(...spare.splice(0, value));
    if (spare.length) pen.drawImage(spare[0], 0, 0);
    update();
  }

  /** One touch of the chosen tool, from a place to a place. */
  function touch([x0, y0], [x1, y1]) {
    const elsewhere = pen.createPattern(draw, "repeat");
    elsewhere.setTransform(new DOMMatrix().translate(LARGE / 2, LARGE / 2));
    [pen.lineWidth, pen.strokeStyle] = { scratch: [7, "#eee"], blot: [40, "#222"], patch: [56, elsewhere] }[tool.value];
    pen.stroke(new Path2D(`M ${x0} ${y0} L ${x1} ${y1 + 0.01}`));
    update();
  }

  function random() {
    const [x, y, angle] = [60 + 136 * Math.random(), 60 + 136 * Math.random(), Math.PI * Math.random()];
    const [dx, dy] = [45 * Math.cos(angle), 45 * Math.sin(angle)];
    touch([x - dx, y - dy], [x + dx, y + dy]);
  }

  for (const kind of ["pointerdown", "pointermove", "pointerup", "pointerleave"])
    draw.addEventListener(kind, (event) => {
      const [before, place] = [drawing, [event.offsetX, event.offsetY].map((v) => (v * LARGE) / draw.clientWidth)];
      drawing = event.buttons && kind !== "pointerleave" ? place : null;
      if (drawing) touch(before ?? place, place);
      else if (before) update();
    });
  const shoot = async () => add([await square(find("video"))]);
  const buttons = { material, camera, shoot, learn, download, random, clean };
  root.addEventListener("click", ({ target }) => buttons[target.dataset.do]?.(target));
  for (const each of [points, lam, sigma]) each.addEventListener("input", update);
  find("[type=file]").addEventListener("change", ({ target }) => open(target.files));
  find('[data-do="camera"]').hidden = !navigator.mediaDevices;
  say("Choose a material, or pictures of your own, or a detector.");
})(document.querySelector(".kd-live"));
