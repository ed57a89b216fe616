"use strict";
// The method once more, as kdlib has it in Python: source, cloner, discrepancy (Eq. 1, 3, 4), training, maps (Eq. 5, 6).
// Images and activations are (B, H, W, C), filters (3, 3, in, out), as TensorFlow.js, here `tf`, has them.

// biome-ignore lint/correctness/noUnusedVariables: for page.js and the tests
const method = (() => {
  const [EPSILON, MOMENTUM] = [1e-5, 0.1]; // of BatchNorm, of its running statistics

  /** Block and place of each convolution up to pool3, the same in both networks; a max-pool ends each block. */
  const CONVOLUTIONS = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3"];
  const LAST = ["1_2", "2_2", "3_3"];

  /** How the gradient of a convolution goes back to its input: through the filters turned by half a turn. */
  const turned = (w) => tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2]);

  /** 3x3 convolution with constant filters: (B, H, W, out) from (B, H, W, in) and (3, 3, in, out). */
  function frozen(w, back) {
    const gradFunc = (dy) => tf.conv2d(dy, back ?? turned(w), 1, 1);
    return tf.customGrad((x) => ({ value: tf.conv2d(x, w, 1, 1), gradFunc }));
  }

  /** The same with filters that learn. Their gradient is a convolution too: the WASM backend has no other. */
  const learning = tf.customGrad((x, w, save) => {
    save([x, w]);
    const gradFunc = (dy, [x, w]) => {
      const filters = tf.conv2d(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(dy, [1, 2, 0, 3]), 1, 1);
      return [tf.conv2d(dy, turned(w), 1, 1), tf.transpose(filters, [1, 2, 0, 3])];
    };
    return { value: tf.conv2d(x, w, 1, 1), gradFunc };
  });

  /** Activations {pool1, pool2: (B, H/4, W/4, 128), pool3: (B, H/8, W/8, 256)} of normalised images (B, H, W, 3). */
  function activations(x, convolve) {
    const found = {};
    for (const name of CONVOLUTIONS) {
      const last = LAST.includes(name);
      x = convolve(x, name, last);
      // The pool comes before its ReLU: the two commute, and a quarter is left to do.
      x = tf.relu(last ? tf.maxPool(x, 2, 2, "valid") : x);
      if (last) found[`pool${name[0]}`] = x;
    }
    return found;
  }

  /** VGG-16 up to pool3, frozen: tensors are conv1_1.weight (3, 3, 3, 64), conv1_1.bias (64,), ... conv3_3.bias. */
  class Source {
    constructor(tensors) {
      this.tensors = tensors;
      const convolve = (w) => frozen(w, turned(w));
      this.convolve = Object.fromEntries(CONVOLUTIONS.map((name) => [name, convolve(tensors[`conv${name}.weight`])]));
    }

    forward(x) {
      return activations(x, (x, name) => tf.add(this.convolve[name](x), this.tensors[`conv${name}.bias`]));
    }
  }

  /** The small cloner up to pool3, of the tensors in a detector's file: convolutions without bias (Sec. 3.2), BatchNorm
   * after all but the last of a block. */
  class Cloner {
    constructor(tensors) {
      this.tensors = {};
      for (const [name, tensor] of Object.entries(tensors))
        if (name.startsWith("cloner.")) this.tensors[name] = tf.variable(tensor, /(weight|bias)$/.test(name));
    }

    /** As of the source; in training BatchNorm takes the statistics of the batch, and keeps running ones. */
    forward(x, training = false) {
      return activations(x, (x, [block, , place], last) => {
        const layer = (n) => `cloner.blocks.pool${block}.${3 * (place - 1) + n}`;
        const w = this.tensors[`${layer(0)}.weight`];
        const y = training ? learning(x, w) : frozen(w)(x);
        return last ? y : this.norm(y, layer(1), training);
      });
    }

    norm(x, name, training) {
      const kinds = ["weight", "bias", "running_mean", "running_var"];
      const [scale, shift, ...running] = kinds.map((kind) => this.tensors[`${name}.${kind}`]);
      let [mean, variance] = running;
      if (training) {
        ({ mean, variance } = tf.moments(x, [0, 1, 2]));
        const n = x.size / x.shape[3];
        for (const [i, now] of [mean, tf.mul(variance, n / (n - 1))].entries())
          running[i].assign(tf.add(tf.mul(running[i], 1 - MOMENTUM), tf.mul(now, MOMENTUM)));
      }
      return tf.add(tf.mul(tf.sub(x, mean), tf.mul(scale, tf.rsqrt(tf.add(variance, EPSILON)))), shift);
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
    const total = ([value, direction]) => tf.add(value, tf.mul(direction, lam));
    return tf.addN(points.map((point) => total(lossTerms(source[point], cloner[point]))));
  }

  /** lambda of Eq. 4: L_val / L_dir of the untrained cloner, so that both terms begin with one size. */
  function balancedLambda(cloner, x, source, points) {
    return tf.tidy(() => {
      const untrained = new Cloner(cloner.tensors); // a copy: running statistics of the cloner stay
      const found = untrained.forward(x, true);
      tf.dispose(untrained.tensors);
      const [value, both] = [0, 1].map((lam) => tf.sum(discrepancy(source, found, { lam, points })));
      return tf.div(value, tf.sub(both, value)).dataSync()[0];
    });
  }

  /** One step of Adam on the mean discrepancy of a batch; returns it. */
  function step(adam, cloner, x, source, settings) {
    const loss = () => tf.mean(discrepancy(source, cloner.forward(x, true), settings));
    return tf.tidy(() => adam.minimize(loss, true).dataSync()[0]);
  }

  /** |d L_total / d x| summed over colours, through both networks, Eq. 5: (B, H, W) from (B, H, W, 3).
   * The activations of both, which cost half of it, are shown to `look` under way. */
  function attribution(source, cloner, x, settings, look = () => {}) {
    const score = (x) => {
      const found = [source.forward(x), cloner.forward(x)];
      look(...found);
      return tf.sum(discrepancy(...found, settings));
    };
    return tf.tidy(() => tf.sum(tf.abs(tf.grad(score)(x)), 3));
  }

  /** A map (B, h, w) enlarged to `side` pixels: (B, side, side). */
  const enlarged = (map, side) =>
    tf.squeeze(tf.image.resizeBilinear(tf.expandDims(map, 3), [side, side], false, true), [3]);

  /** L_val times L_dir of the channels at each position, enlarged, summed over critical points: (B, side, side). */
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
   * difference from the nearest of them, enlarged, summed over critical points: (B, side, side). */
  function nearest(source, memory, { points, side }) {
    const maps = points.map((point) => {
      const [, h, w, channels] = source[point].shape;
      const [a, b] = [source[point], memory[point]].map((t) => tf.reshape(t, [-1, channels]));
      const squares = tf.add(tf.sum(tf.square(a), 1, true), tf.sum(tf.square(b), 1));
      // matMul's own transposition is 20 times slower on WASM
      const distances = tf.relu(tf.sub(squares, tf.mul(2, tf.matMul(a, tf.transpose(b)))));
      return enlarged(tf.reshape(tf.div(tf.min(distances, 1), channels), [-1, h, w]), side);
    });
    return tf.addN(maps);
  }

  /** Gaussian up to 4 sigma, mirrored at the edge, then grey opening with a cross, Eq. 6: (B, H, W) for (B, H, W). */
  function localizationMap(maps, { sigma }) {
    return tf.tidy(() => {
      const radius = Math.min(Math.floor(4 * sigma + 0.5), maps.shape[1]);
      const squares = tf.square(tf.range(-radius, radius + 1));
      const weights = tf.softmax(tf.div(squares, -2 * Math.max(sigma, 1e-3) ** 2)); // exp(-d^2 / 2 sigma^2), sum 1
      const [edge, disk] = [Array(2).fill(radius), tf.outerProduct(weights, weights)];
      const padded = tf.expandDims(tf.mirrorPad(maps, [[0, 0], edge, edge], "symmetric"), 3);
      const smooth = tf.conv2d(padded, tf.expandDims(tf.expandDims(disk, 2), 3), 1, "valid");
      const dilated = (map) => tf.maximum(tf.maxPool(map, [3, 1], 1, "same"), tf.maxPool(map, [1, 3], 1, "same"));
      return tf.squeeze(dilated(tf.neg(dilated(tf.neg(smooth)))), [3]);
    });
  }

  /** 8-bit RGB images (B, H, W, 3) as the networks see them, normalised as ImageNet: the same shape. */
  const prepare = (pixels, { mean, std }) => tf.div(tf.sub(tf.div(pixels, 255), mean), std);

  /** Numbers of a safetensors file; a long one, which counts for torch, is kept as its two halves. */
  const HALF = { dtype: "float32", quantization: { dtype: "float16" } };
  const TYPES = { F16: HALF, F32: { dtype: "float32" }, I64: { dtype: "int32" } };

  /** Tensors and metadata of a safetensors file, whose header has the order of the numbers. Throws: it is none. */
  function read(file) {
    const length = Number(new DataView(file).getBigUint64(0, true));
    if (length > file.byteLength - 8) throw new Error("it is not a safetensors file, or cut off.");
    const { __metadata__, ...entries } = JSON.parse(new TextDecoder().decode(file.slice(8, 8 + length)));
    const spec = ([name, { dtype, shape }]) => ({ ...TYPES[dtype], name, shape: dtype === "I64" ? [2] : shape });
    const tensors = tf.io.decodeWeights(file.slice(8 + length), Object.entries(entries).map(spec));
    for (const [name, tensor] of Object.entries(tensors))
      if (tensor.rank === 4) tensors[name] = tf.transpose(tensor, [2, 3, 1, 0]);
    return { tensors, about: __metadata__ ?? {} };
  }

  /** A safetensors file of tensors as `read` gives them. */
  function write(tensors, about) {
    const [header, parts] = [{ __metadata__: about }, []];
    let end = 0;
    for (const [name, tensor] of Object.entries(tensors)) {
      const ordered = tensor.rank === 4 ? tf.transpose(tensor, [3, 2, 0, 1]) : tensor;
      const [dtype, shape] = tensor.dtype === "int32" ? ["I64", []] : ["F32", ordered.shape];
      parts.push(ordered.dataSync());
      header[name] = { dtype, shape, data_offsets: [end, end + parts.at(-1).byteLength] };
      end += parts.at(-1).byteLength;
    }
    const text = JSON.stringify(header);
    const padded = text.padEnd(8 * Math.ceil(text.length / 8));
    return new Blob([BigUint64Array.of(BigInt(padded.length)), padded, ...parts]);
  }

  /** The bytes of a text in base64. */
  const bytes = async (text) => (await fetch(`data:;base64,${text}`)).arrayBuffer();

  /** Starts TensorFlow.js on WebAssembly, whose program is handed over as bytes: a page on disk cannot fetch it. */
  async function start(program) {
    const address = URL.createObjectURL(new Blob([await bytes(program)], { type: "application/wasm" }));
    const names = ["", "-simd", "-threaded-simd"].map((kind) => `tfjs-backend-wasm${kind}.wasm`);
    tf.wasm.setWasmPaths(Object.fromEntries(names.map((name) => [name, address])));
    return tf.setBackend("wasm");
  }

  const maps = { attribution, positions, nearest, localizationMap };
  return { start, bytes, read, write, Source, Cloner, prepare, discrepancy, balancedLambda, step, ...maps };
})();
