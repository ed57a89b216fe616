"use strict";
// The page around the method: pictures, learning, drawing, maps. All stays in this browser.

(async (root) => {
  const find = (selector) => root.querySelector(selector);
  const act = (name) => find(`[data-do="${name}"]`);
  const said = find(".kd-said");
  const say = (text) => (said.textContent = text);
  const frame = () => new Promise((next) => setTimeout(next)); // the browser draws and listens in between
  const { recipe, materials } = assets;
  const [SIDE, LARGE] = [recipe.size, 256]; // what the networks see, what is drawn on
  const POINTS = recipe.critical_points;
  const LEAST = 4; // pictures: one in four is kept apart, for the threshold

  /** The bytes of a text in base64. */
  function bytes(text) {
    const binary = atob(text);
    const found = new Uint8Array(binary.length);
    for (let i = 0; i < found.length; i++) found[i] = binary.charCodeAt(i);
    return found;
  }

  try {
    await method.start(bytes(assets.wasm));
  } catch {
    const explorer = said.querySelector("a");
    said.replaceChildren("This browser has no WebAssembly with SIMD, so nothing can be learned here; the ", explorer,
      " shows maps that were computed before."); // biome-ignore format: two lines
    return;
  }
  const source = new method.Source(method.unpack(new Uint16Array(bytes(assets.source).buffer)));
  say(
    "Choose a material, or four or more pictures of your own: of one kind of thing, all good, seen from the same place.",
  );

  // --- Pictures ------------------------------------------------------------------------------------------------------
  let [good, spare, other] = [[], [], null]; // canvases: to learn from, to draw on, of another material

  /** A square canvas with the middle of an image or a video. */
  function squared(image) {
    const made = Object.assign(document.createElement("canvas"), { width: LARGE, height: LARGE });
    const [width, height] = [image.videoWidth || image.width, image.videoHeight || image.height];
    const side = Math.min(width, height);
    made.getContext("2d").drawImage(image, (width - side) / 2, (height - side) / 2, side, side, 0, 0, LARGE, LARGE);
    return made;
  }

  async function loaded(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return squared(image);
  }

  /** The canvases as the networks see them: (B, SIDE, SIDE, 3), normalised as ImageNet. */
  function prepared(canvases) {
    const pixels = new Uint8Array(canvases.length * SIDE * SIDE * 3);
    const small = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    const pen = small.getContext("2d", { willReadFrequently: true });
    pen.imageSmoothingQuality = "high";
    canvases.forEach((canvas, n) => {
      pen.drawImage(canvas, 0, 0, SIDE, SIDE);
      const { data } = pen.getImageData(0, 0, SIDE, SIDE);
      for (let i = 0; i < SIDE * SIDE; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * (n * SIDE * SIDE + i));
    });
    return method.prepare(pixels, SIDE, assets);
  }

  const isHeld = (_, n) => n % LEAST === LEAST - 1;

  function showPictures() {
    find(".kd-pictures").replaceChildren(...good);
    good.forEach((canvas, n) => canvas.classList.toggle("kd-held", isHeld(canvas, n)));
    act("learn").disabled = good.length < LEAST;
    const held = good.filter(isHeld).length;
    say(good.length < LEAST ? `${good.length} of at least ${LEAST} pictures.`
      : `${good.length - held} pictures to learn, ${held} kept apart (dashed) for the threshold.`); // biome-ignore format: two lines
  }

  const choose = async (name) => {
    const [pictures, others] = [name, Object.keys(materials).find((each) => each !== name)].map(
      (each) => materials[each],
    );
    const all = await Promise.all(pictures.map(loaded));
    [good, spare] = [all.slice(0, assets.learn), all.slice(assets.learn)];
    other = await loaded(others[0]);
    showPictures();
  };

  /** Pictures of the reader: the last one is to draw on, unless there are few. */
  async function take(canvases, fresh) {
    if (fresh || !own) [good, spare, own] = [[], [], true];
    other ??= await loaded(materials.brick[0]);
    good.push(...canvases);
    spare = [good.at(-1)];
    showPictures();
  }
  let own = false;

  for (const button of root.querySelectorAll("[data-material]"))
    button.addEventListener("click", () => {
      own = false;
      choose(button.dataset.material);
    });

  async function files(list) {
    const images = [...list].filter((file) => file.type.startsWith("image/"));
    const read = await Promise.allSettled(images.map((file) => loaded(URL.createObjectURL(file))));
    await take(read.filter((each) => each.status === "fulfilled").map((each) => each.value));
    const unread = list.length - read.filter((each) => each.status === "fulfilled").length;
    if (unread) say(`${said.textContent} ${unread} files are no picture that this browser can read.`);
  }
  act("files").addEventListener("change", (event) => files(event.target.files));
  const drop = find("fieldset");
  for (const kind of ["dragover", "dragleave", "drop"])
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("kd-over", kind === "dragover");
      if (kind === "drop") files(event.dataTransfer.files);
    });

  if (navigator.mediaDevices?.getUserMedia) {
    const [camera, video] = [act("camera"), find("video")];
    camera.hidden = false;
    camera.addEventListener("click", async () => {
      if (video.srcObject) return take([squared(video)]);
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        video.hidden = false;
        await video.play();
        camera.textContent = "Take a picture";
      } catch {
        say("The browser gives no camera to this page.");
      }
    });
  }

  // --- Learning ------------------------------------------------------------------------------------------------------
  let detector = null; // what was learned, and all that scores need
  let learning = false;

  act("learn").addEventListener("click", async () => {
    learning = !learning; // the same button ends it early
    if (!learning) return;
    act("learn").textContent = "Enough";
    try {
      await learn();
    } finally {
      learning = false;
      act("learn").textContent = "Learn";
    }
    test();
  });

  async function learn() {
    const begin = performance.now();
    const seconds = () => `${((performance.now() - begin) / 1000).toFixed(0)} s`;
    const parts = [good.filter((...each) => !isHeld(...each)), good.filter(isHeld)];
    if (detector) for (const each of [detector.cloner, detector.untrained]) each.dispose();
    if (detector) tf.dispose([detector.known, detector.held]);
    // The source is frozen: its activations of all pictures are computed once.
    const [known, held] = [null, null].map(() => ({}));
    let done = 0;
    for (const [n, part] of [known, held].entries()) {
      const each = [];
      for (const canvas of parts[n]) {
        each.push(tf.tidy(() => source.forward(prepared([canvas]))));
        say(`Source: activations of picture ${++done} of ${good.length}, ${seconds()}.`);
        await frame();
      }
      for (const point of POINTS) part[point] = null;
      for (const point of POINTS) (n ? held : known)[point] = tf.tidy(() => tf.concat(each.map((a) => a[point])));
      tf.dispose(each);
    }
    const [x, apart] = parts.map(prepared);
    const [cloner, settings] = [new method.Cloner(), { points: POINTS }];
    const untrained = new method.Cloner(cloner.tensors);
    settings.lam = method.balancedLambda(cloner, x, known, POINTS);
    const adam = tf.train.adam(recipe.learning_rate, 0.9, 0.999, 1e-8);
    const [losses, kept] = [[], []];
    for (let epoch = 1; epoch <= recipe.epochs && learning; epoch++) {
      const order = Array.from(tf.util.createShuffledIndices(parts[0].length));
      let total = 0;
      for (let start = 0; start < order.length; start += recipe.batch_size) {
        const chosen = tf.tensor1d(order.slice(start, start + recipe.batch_size), "int32");
        const batch = tf.tidy(() => [
          tf.gather(x, chosen),
          Object.fromEntries(POINTS.map((p) => [p, tf.gather(known[p], chosen)])),
        ]);
        total += method.step(adam, cloner, ...batch, settings) * chosen.size;
        tf.dispose([chosen, batch]);
        await frame();
      }
      losses.push(total / order.length);
      const found = tf.tidy(() => cloner.forward(apart));
      kept.push(tf.tidy(() => tf.mean(method.discrepancy(held, found, settings)).dataSync()[0]));
      showCurve(losses, kept);
      showActivations(held, found);
      tf.dispose(found);
      say(
        `Epoch ${epoch} of ${recipe.epochs}, ${seconds()}: discrepancy ${losses.at(-1).toFixed(2)}, of pictures kept apart ${kept.at(-1).toFixed(2)}.`,
      );
      await frame();
    }
    adam.dispose();
    const terms = (network) => tf.tidy(() => {
      const found = network.forward(apart);
      return Object.fromEntries(POINTS.map((p) => [p, method.lossTerms(held[p], found[p]).map((t) => t.dataSync())]));
    }); // biome-ignore format: as it is read
    detector = {
      cloner,
      untrained,
      known,
      held,
      apart: parts[1],
      lam: settings.lam,
      losses,
      terms: [cloner, untrained].map(terms),
    };
    tf.dispose([x, apart]);
    say(`Learned ${parts[0].length} pictures in ${seconds()}.`);
  }

  function showCurve(...curves) {
    const figure = find('[data-show="curve"]');
    figure.hidden = false;
    const all = curves.flat().map(Math.log);
    const [low, high] = [Math.min(...all), Math.max(...all) + 1e-6];
    figure.querySelectorAll("polyline").forEach((line, n) => {
      const place = (y, i) =>
        `${40 + (260 * i) / (recipe.epochs - 1)},${5 + (90 * (high - Math.log(y))) / (high - low)}`;
      line.setAttribute("points", curves[n].map(place).join(" "));
    });
    const texts = [Math.exp(high).toFixed(1), Math.exp(low).toFixed(1), `epoch ${recipe.epochs}`];
    figure.querySelectorAll("text").forEach((text, n) => (text.textContent = texts[n]));
    const [first, last] = [curves[1][0], curves[1].at(-1)].map((y) => y.toFixed(2));
    find("svg").setAttribute("aria-label", `Discrepancy of pictures kept apart: ${first} after one epoch, ${last} now`);
  }

  /** Of the first picture kept apart, the channel that differs most from place to place, at both critical points. */
  function showActivations(...networks) {
    const box = find('[data-show="activations"]');
    box.hidden = false;
    POINTS.forEach((point, p) => {
      const maps = networks.map((each) => tf.tidy(() => tf.unstack(each[point])[0]));
      const channel = tf.tidy(() => tf.argMax(tf.moments(maps[0], [0, 1]).variance).dataSync()[0]);
      const side = maps[0].shape[0];
      const values = maps.map((map) => tf.tidy(() => tf.slice(map, [0, 0, channel], [side, side, 1]).dataSync()));
      tf.dispose(maps);
      const most = Math.max(...values[0]);
      values.forEach((grey, n) => {
        const pen = box.querySelectorAll("canvas")[2 * p + n].getContext("2d");
        const image = pen.createImageData(side, side);
        grey.forEach((v, i) => image.data.set([...Array(3).fill((255 * v) / most), 255], 4 * i));
        pen.putImageData(image, 0, 0);
      });
    });
  }

  // --- Testing -------------------------------------------------------------------------------------------------------
  const NAMES = {
    gradients: "Gradient, Eq. 5 and 6",
    positions: "By position",
    untrained: "Untrained cloner, by position",
    memory: "Memory: nearest good",
  };
  const KEEP = 2; // a map is full where it is so many times the brightest place of a good picture
  let [draw, pen, turn, drawing, busy, again] = [null, null, 0, false, false, false];
  let bright = {}; // by map: its brightest place on a picture kept apart, with the settings of now

  function settings() {
    const value = (name) => find(`[data-set="${name}"]`).value;
    return {
      points: value("points").split(","),
      lam: detector.lam * 2 ** value("lam"),
      sigma: +value("sigma"),
      side: SIDE,
    };
  }

  /** Score and map of a canvas by each way; gradients take longest, and wait until the hand rests. */
  function judged(canvas, now, quick) {
    return tf.tidy(() => {
      const x = prepared([canvas]);
      const s = source.forward(x);
      const [found, blind] = [detector.cloner, detector.untrained].map((network) => network.forward(x));
      const score = (c) => method.discrepancy(s, c, now).dataSync()[0];
      const raw = {
        positions: method.positions(s, found, now),
        untrained: method.positions(s, blind, now),
        memory: method.nearest(s, detector.known, now),
      };
      const scores = { positions: score(found), untrained: score(blind), memory: tf.max(raw.memory).dataSync()[0] };
      if (!quick) raw.gradients = method.attribution(source, detector.cloner, x, now);
      const smooth = (map) => method.localizationMap(tf.squeeze(map, [0]), now).dataSync();
      return { scores, maps: Object.fromEntries(Object.entries(raw).map(([name, map]) => [name, smooth(map)])) };
    });
  }

  /** The highest score of the pictures kept apart. */
  function thresholds({ points, lam, side }) {
    const highest = (terms) =>
      Math.max(
        ...terms[points[0]][0].map((_, n) => points.reduce((sum, p) => sum + terms[p][0][n] + lam * terms[p][1][n], 0)),
      );
    const memory = detector.apart.map((_, n) => tf.tidy(() => {
      const one = Object.fromEntries(points.map((p) => [p, tf.slice(detector.held[p], [n], [1])]));
      return tf.max(method.nearest(one, detector.known, { points, side })).dataSync()[0];
    })); // biome-ignore format: as it is read
    return {
      positions: highest(detector.terms[0]),
      untrained: highest(detector.terms[1]),
      memory: Math.max(...memory),
    };
  }

  let limits = null;
  function answer() {
    const now = settings();
    if (!limits) {
      limits = thresholds(now);
      const { maps } = judged(detector.apart[0], now);
      bright = Object.fromEntries(Object.entries(maps).map(([name, map]) => [name, Math.max(...map)]));
    }
    const { scores, maps } = judged(draw, now, drawing);
    for (const [name, map] of Object.entries(maps)) showMap(name, map);
    for (const [name, title] of Object.entries(NAMES)) {
      const [score, limit] = name === "gradients" ? [scores.positions, limits.positions] : [scores[name], limits[name]];
      const verdict = `score ${score.toPrecision(3)}, threshold ${limit.toPrecision(3)}: ${score > limit ? "anomalous" : "good"}`;
      find(`[data-map="${name}"]`).nextElementSibling.textContent = `${title}: ${verdict}`;
      find(`[data-map="${name}"]`).setAttribute("aria-label", `Map, ${title}`);
    }
    const found = scores.positions > limits.positions;
    find(".kd-verdict").textContent =
      `The cloner's discrepancy is ${scores.positions.toPrecision(3)}, ${found ? "above" : "not above"} the threshold ${limits.positions.toPrecision(3)}: ${found ? "anomalous" : "good"}.`;
    root.dataset.turn = ++turn; // drawn
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

  /** The picture in grey, with the map over it: transparent where it is dark. */
  function showMap(name, map) {
    const [canvas, small] = [
      find(`[data-map="${name}"]`),
      Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE }),
    ];
    const [brush, dots] = [canvas.getContext("2d"), small.getContext("2d")];
    const image = dots.createImageData(SIDE, SIDE);
    map.forEach((v, i) =>
      image.data.set([255, 90, 0, 255 * Math.min(1, Math.max(0, v / bright[name] / KEEP)) ** 1.5], 4 * i),
    );
    dots.putImageData(image, 0, 0);
    brush.filter = "grayscale(1) brightness(0.8)";
    brush.drawImage(draw, 0, 0);
    brush.filter = "none";
    brush.drawImage(small, 0, 0, LARGE, LARGE);
  }

  function clean(next = 0) {
    spare.push(...spare.splice(0, next)); // the next one comes first
    pen.drawImage(spare[0], 0, 0);
    update();
  }

  /** One touch of the chosen tool, from a place to a place. */
  function touch([x0, y0], [x1, y1]) {
    const tool = act("tool").value;
    pen.save();
    pen.beginPath();
    if (tool === "patch") {
      pen.arc(x1, y1, 28, 0, 2 * Math.PI);
      pen.clip();
      pen.drawImage(other, 0, 0);
    } else {
      [pen.lineWidth, pen.lineCap, pen.strokeStyle] = [
        tool === "blot" ? 40 : 7,
        "round",
        tool === "blot" ? "#222" : "#eee",
      ];
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1 + 0.01);
      pen.stroke();
    }
    pen.restore();
  }

  function atRandom() {
    const random = (low, high) => low + (high - low) * Math.random();
    const [x, y, angle] = [random(70, 186), random(70, 186), random(0, Math.PI)];
    const [dx, dy] = act("tool").value === "scratch" ? [45 * Math.cos(angle), 45 * Math.sin(angle)] : [0, 0];
    touch([x - dx, y - dy], [x + dx, y + dy]);
    update();
  }

  /** The second step: there once something is learned. */
  function test() {
    if (!detector) return;
    limits = null;
    if (!draw) {
      root.append(find("template").content);
      find('[data-set="sigma"]').value = recipe.sigma;
      draw = find(".kd-draw");
      pen = draw.getContext("2d", { willReadFrequently: true });
      let last = null;
      const place = (event) => [event.offsetX, event.offsetY].map((v) => (v * LARGE) / draw.clientWidth);
      draw.addEventListener("pointerdown", (event) => {
        draw.setPointerCapture(event.pointerId);
        [drawing, last] = [true, place(event)];
        touch(last, last);
        update();
      });
      draw.addEventListener("pointermove", (event) => {
        if (!drawing) return;
        touch(last, (last = place(event)));
        update();
      });
      for (const kind of ["pointerup", "pointercancel"])
        draw.addEventListener(kind, () => {
          drawing = false;
          update();
        });
      act("random").addEventListener("click", atRandom);
      act("clean").addEventListener("click", () => clean());
      act("another").addEventListener("click", () => clean(1));
      for (const control of root.querySelectorAll("[data-set]"))
        control.addEventListener("input", () => {
          limits = null;
          label();
          update();
        });
    }
    label();
    clean();
  }

  function label() {
    const { lam, sigma } = settings();
    for (const [name, text] of [
      ["lam", lam.toPrecision(3)],
      ["sigma", sigma.toFixed(1)],
    ]) {
      find(`[data-set="${name}"]`).setAttribute("aria-valuetext", text);
      find(`[data-set="${name}"]`).parentElement.querySelector("output").textContent = text;
    }
  }
})(document.querySelector(".kd-live"));
