"use strict";
// The method once more, as kdlib has it in Python: source, cloner, discrepancy (Eq. 1, 3, 4), training, maps (Eq. 5, 6).
// Images and activations are (B, H, W, C), filters (3, 3, in, out), as TensorFlow.js, here `tf`, has them.

// biome-ignore lint/correctness/noUnusedVariables: for page.js and the tests
const method = (() => {
  const EPSILON = 1e-5; // of BatchNorm
  const MOMENTUM = 0.1; // of its running statistics

  /** The convolutions, block by block, from their output channels; a max-pool ends each block. */
  const layers = (...blocks) =>
    blocks.flatMap((block, b) =>
      block.map((_, i) => ({ b: b + 1, i, point: `pool${b + 1}`, last: i === block.length - 1 })),
    );
  const VGG16 = layers([64, 64], [128, 128], [256, 256, 256]);
  const SMALL = layers([16, 16], [16, 128], [16, 16, 256]);

  /** How the gradient of a convolution goes back to its input: through the filters turned by half a turn. */
  const turned = (w) => tf.tidy(() => tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2]));

  /** 3x3 convolution that learns: (B, H, W, out) from (B, H, W, in) and (3, 3, in, out).
   * Both gradients are convolutions themselves, and written so: the WASM backend lacks that of the filters. */
  const convolve = tf.customGrad((x, w, save) => {
    save([x, w]);
    const gradFunc = (dy, [x, w]) => {
      const filters = tf.conv2d(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(dy, [1, 2, 0, 3]), 1, 1);
      return [tf.conv2d(dy, turned(w), 1, 1), tf.transpose(filters, [1, 2, 0, 3])];
    };
    return { value: tf.conv2d(x, w, 1, 1), gradFunc };
  });

  /** VGG-16 up to pool3, frozen: tensors are conv1_1.weight (3, 3, 3, 64), conv1_1.bias (64,), ... conv3_3.bias. */
  class Source {
    constructor(tensors) {
      this.layers = VGG16.map(({ b, i, point, last }) => {
        const [w, bias] = ["weight", "bias"].map((kind) => tensors[`conv${b}_${i + 1}.${kind}`]);
        const back = turned(w);
        const gradFunc = (dy) => tf.conv2d(dy, back, 1, 1);
        return { point, last, bias, convolution: tf.customGrad((x) => ({ value: tf.conv2d(x, w, 1, 1), gradFunc })) };
      });
    }

    /** Activations {pool1, pool2: (B, H/4, W/4, 128), pool3: (B, H/8, W/8, 256)} of normalised images (B, H, W, 3). */
    forward(x) {
      const found = {};
      for (const { point, last, bias, convolution } of this.layers) {
        x = tf.relu(tf.add(convolution(x), bias));
        if (last) x = found[point] = tf.maxPool(x, 2, 2, "valid");
      }
      return found;
    }
  }

  /** The small cloner up to pool3: convolutions without bias (Sec. 3.2), BatchNorm after all but the last of a block,
   * then ReLU. Tensors have the names of kdlib; the page's own begin Xavier-uniform. */
  class Cloner {
    constructor(tensors) {
      this.tensors = {};
      for (const [name, tensor] of Object.entries(tensors))
        this.tensors[name] = tf.variable(tensor, !name.includes("running"));
    }

    /** An untrained one from the shapes of its tensors. */
    static untrained(shapes) {
      const start = (name, shape) => {
        const bound = Math.sqrt(6 / (9 * (shape[2] + shape[3])));
        if (shape.length === 4) return tf.randomUniform(shape, -bound, bound);
        return tf.fill(shape, /mean|bias/.test(name) ? 0 : 1);
      };
      return new Cloner(Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, start(name, shape)])));
    }

    /** As of the source; in training BatchNorm takes the statistics of the batch, and keeps running ones. */
    forward(x, training = false) {
      const found = {};
      for (const { i, point, last } of SMALL) {
        const name = (n) => `blocks.${point}.${3 * i + n}`;
        x = convolve(x, this.tensors[`${name(0)}.weight`]);
        // The pool comes before its ReLU: the two commute, and a quarter is left to do.
        x = tf.relu(last ? tf.maxPool(x, 2, 2, "valid") : this.norm(x, name(1), training));
        if (last) found[point] = x;
      }
      return found;
    }

    norm(x, name, training) {
      const kinds = ["weight", "bias", "running_mean", "running_var"];
      const [scale, shift, runningMean, runningVariance] = kinds.map((kind) => this.tensors[`${name}.${kind}`]);
      if (!training) return tf.batchNorm(x, runningMean, runningVariance, shift, scale, EPSILON);
      const mean = tf.mean(x, [0, 1, 2]);
      const centred = tf.sub(x, mean);
      const variance = tf.mean(tf.square(centred), [0, 1, 2]);
      const n = x.size / x.shape[3];
      const keep = (running, now) => running.assign(tf.add(tf.mul(running, 1 - MOMENTUM), tf.mul(now, MOMENTUM)));
      keep(runningMean, mean);
      keep(runningVariance, tf.mul(variance, n / (n - 1)));
      return tf.add(tf.mul(centred, tf.mul(scale, tf.rsqrt(tf.add(variance, EPSILON)))), shift);
    }

    dispose() {
      tf.dispose(this.tensors);
    }
  }

  /** L_val (Eq. 1) and L_dir (Eq. 3) of each image at one critical point: two (B,) from two (B, H, W, C). */
  function lossTerms(source, cloner) {
    const [s, c] = [source, cloner].map((a) => tf.reshape(a, [a.shape[0], -1]));
    const squares = tf.mul(tf.sum(tf.square(s), 1), tf.sum(tf.square(c), 1));
    const cosine = tf.div(tf.sum(tf.mul(s, c), 1), tf.sqrt(tf.maximum(squares, 1e-24)));
    return [tf.mean(tf.squaredDifference(s, c), 1), tf.sub(1, cosine)];
  }

  /** L_total = L_val + lambda L_dir of each image, summed over critical points, Eq. 4: (B,). */
  function discrepancy(source, cloner, { lam, points }) {
    const totals = points.map((point) => {
      const [value, direction] = lossTerms(source[point], cloner[point]);
      return tf.add(value, tf.mul(direction, lam));
    });
    return tf.addN(totals);
  }

  /** lambda of Eq. 4: L_val / L_dir of the untrained cloner, so that both terms begin with one size. */
  function balancedLambda(cloner, x, source, points) {
    return tf.tidy(() => {
      const untrained = new Cloner(cloner.tensors); // a copy: running statistics of the cloner stay
      const found = untrained.forward(x, true);
      const terms = points.map((point) => lossTerms(source[point], found[point]).map((t) => tf.sum(t).dataSync()[0]));
      tf.dispose(untrained.tensors);
      return terms.reduce((sum, [value]) => sum + value, 0) / terms.reduce((sum, [, direction]) => sum + direction, 0);
    });
  }

  /** One step of Adam on the mean discrepancy of a batch; returns it. */
  function step(adam, cloner, x, source, settings) {
    const loss = () => tf.mean(discrepancy(source, cloner.forward(x, true), settings));
    return tf.tidy(() => adam.minimize(loss, true).dataSync()[0]);
  }

  /** |d L_total / d x| summed over colours, through both networks, Eq. 5: (B, H, W) from (B, H, W, 3). */
  function attribution(source, cloner, x, settings) {
    const score = (x) => tf.sum(discrepancy(source.forward(x), cloner.forward(x), settings));
    return tf.tidy(() => tf.sum(tf.abs(tf.grad(score)(x)), 3));
  }

  /** A map (B, h, w) enlarged to `side` pixels: (B, side, side). */
  const enlarged = (map, side) =>
    tf.squeeze(tf.image.resizeBilinear(tf.expandDims(map, 3), [side, side], false, true), [3]);

  /** L_val times L_dir of the vector of channels at each position, enlarged, summed over critical points: (B, side, side). */
  function positions(source, cloner, { points, side }) {
    const maps = points.map((point) => {
      const [s, c] = [source[point], cloner[point]];
      const norms = [s, c].map((a) => tf.maximum(tf.sqrt(tf.sum(tf.square(a), 3)), 1e-8));
      const cosine = tf.div(tf.sum(tf.mul(s, c), 3), tf.mul(...norms));
      return enlarged(tf.mul(tf.mean(tf.squaredDifference(s, c), 3), tf.sub(1, cosine)), side);
    });
    return tf.addN(maps);
  }

  /** The other way: no cloner, but the source's vectors of all good pictures, kept. At each position the mean squared
   * difference from the nearest of them, enlarged, summed over critical points: (1, side, side). */
  function nearest(source, memory, { points, side }) {
    const maps = points.map((point) => {
      const [, h, w, channels] = source[point].shape;
      const [a, b] = [source[point], memory[point]].map((t) => tf.reshape(t, [-1, channels]));
      const squares = tf.add(tf.sum(tf.square(a), 1, true), tf.sum(tf.square(b), 1));
      const distances = tf.relu(tf.sub(squares, tf.mul(2, tf.matMul(a, b, false, true))));
      return enlarged(tf.reshape(tf.div(tf.min(distances, 1), channels), [1, h, w]), side);
    });
    return tf.addN(maps);
  }

  /** Gaussian, then grey opening with a cross, Eq. 6: (H, H) from (H, H). Beyond its edge a map is mirrored. */
  function localizationMap(map, { sigma }) {
    return tf.tidy(() => {
      const blur = gaussian(map.shape[0], sigma);
      return dilate(tf.neg(dilate(tf.neg(tf.matMul(tf.matMul(blur, map), blur, false, true)))));
    });
  }

  /** Row i holds the weights of the pixels that make pixel i: a Gaussian cut off at 4 sigma, (n, n). */
  function gaussian(n, sigma) {
    const [rows, radius] = [tf.buffer([n, n]), Math.floor(4 * sigma + 0.5)];
    const weight = (d) => (sigma ? Math.exp(-0.5 * (d / sigma) ** 2) : 1);
    let total = 0;
    for (let d = -radius; d <= radius; d++) total += weight(d);
    for (let i = 0; i < n; i++)
      for (let d = -radius; d <= radius; d++) {
        const place = (((i + d) % (2 * n)) + 2 * n) % (2 * n);
        const at = Math.min(place, 2 * n - 1 - place);
        rows.set(rows.get(i, at) + weight(d) / total, i, at);
      }
    return rows.toTensor();
  }

  /** The largest of a pixel and its four neighbours: (H, W). */
  function dilate(map) {
    const [h, w] = map.shape;
    const edges = [1, 1];
    const padded = tf.mirrorPad(map, [edges, edges], "symmetric");
    const slice = (...place) => tf.slice(padded, place, [h, w]);
    return [slice(0, 1), slice(2, 1), slice(1, 0), slice(1, 2)].reduce((a, b) => tf.maximum(a, b), map);
  }

  /** 8-bit RGB pixels of images, flat, as the networks see them, normalised as ImageNet: (B, side, side, 3). */
  function prepare(pixels, side, { mean, std }) {
    const shape = [pixels.length / (3 * side ** 2), side, side, 3];
    return tf.tidy(() => tf.div(tf.sub(tf.div(tf.tensor4d(pixels, shape, "float32"), 255), mean), std));
  }

  /** The bytes of a text in base64. */
  function bytes(text) {
    const [binary, found] = [atob(text), new Uint8Array(Math.floor((text.length * 3) / 4))];
    for (let i = 0; i < binary.length; i++) found[i] = binary.charCodeAt(i);
    return found.slice(0, binary.length);
  }

  /** Tensors by name from their shapes and numbers in half precision, in base64. */
  function unpack(packed) {
    const tensor = ([shape, text]) => {
      // A float has the same layout, its fraction 13 bits longer, and an exponent that counts from 112 less.
      const bits = Uint32Array.from(
        new Uint16Array(bytes(text).buffer),
        (h) => ((h & 32768) << 16) | ((h & 32767) << 13),
      );
      return tf.tensor(
        new Float32Array(bits.buffer).map((v) => v * 2 ** 112),
        shape,
      );
    };
    return Object.fromEntries(Object.entries(packed).map(([name, each]) => [name, tensor(each)]));
  }

  /** Starts TensorFlow.js on WebAssembly, whose program is handed over as bytes: a page on disk cannot fetch it. */
  async function start(program) {
    const address = URL.createObjectURL(new Blob([bytes(program)], { type: "application/wasm" }));
    const names = ["", "-simd", "-threaded-simd"].map((kind) => `tfjs-backend-wasm${kind}.wasm`);
    tf.wasm.setWasmPaths(Object.fromEntries(names.map((name) => [name, address])));
    if (!(await tf.setBackend("wasm"))) throw new Error("no WebAssembly with SIMD here");
  }

  const networks = { Source, Cloner, start, unpack, prepare };
  const losses = { lossTerms, discrepancy, balancedLambda, step };
  return { ...networks, ...losses, attribution, positions, nearest, localizationMap };
})();
