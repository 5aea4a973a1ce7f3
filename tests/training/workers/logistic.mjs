// Logistic regression in JavaScript, without any package: reads the CSV, trains, writes ONNX.
// The contract is in docs/training.md, section "Any container".
import { readFileSync, writeFileSync } from "node:fs";

const env = process.env;
const params = { epochs: 60, learning_rate: 0.5, ...JSON.parse(env.SEAWAY_PARAMS) };
const classes = JSON.parse(env.SEAWAY_CLASSES).length;
if (env.SEAWAY_TASK !== "classification" || classes !== 2) {
  console.error("error: this program answers questions with two answers only");
  process.exit(65); // no retry helps
}

function read(path) {
  const [head, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
  const width = head.split(",").length - 1; // the last column is the target
  const rows = lines.map((line) => line.split(",").map((cell) => (cell === "" ? NaN : Number(cell))));
  return { x: rows.map((row) => row.slice(0, width)), y: rows.map((row) => row[width]), width };
}

// missing values become the mean, then all features have mean 0 and deviation 1
function fitScale({ x, width }) {
  const mean = Array(width).fill(0), count = Array(width).fill(0), deviation = Array(width).fill(0);
  for (const row of x) row.forEach((v, j) => { if (!Number.isNaN(v)) { mean[j] += v; count[j] += 1; } });
  mean.forEach((v, j) => { mean[j] = count[j] ? v / count[j] : 0; });
  for (const row of x) row.forEach((v, j) => { if (!Number.isNaN(v)) deviation[j] += (v - mean[j]) ** 2; });
  return { mean, scale: deviation.map((v, j) => (v > 0 ? Math.sqrt(count[j] / v) : 0)) };
}

const scaled = (row, { mean, scale }) => row.map((v, j) => (Number.isNaN(v) ? 0 : (v - mean[j]) * scale[j]));
const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const score = (row, w, b) => row.reduce((sum, v, j) => sum + v * w[j], b);

function train(rows, y, width) {
  const w = Array(width).fill(0);
  let b = 0;
  for (let epoch = 0; epoch < params.epochs; epoch++) {
    const dw = Array(width).fill(0);
    let db = 0, loss = 0;
    rows.forEach((row, i) => {
      const p = sigmoid(score(row, w, b)), error = p - y[i];
      loss -= Math.log(Math.max(y[i] ? p : 1 - p, 1e-12));
      row.forEach((v, j) => { dw[j] += error * v; });
      db += error;
    });
    for (let j = 0; j < width; j++) w[j] -= (params.learning_rate * dw[j]) / rows.length;
    b -= (params.learning_rate * db) / rows.length;
    if (epoch % 20 === 19) console.log(`train_loss=${(loss / rows.length).toFixed(6)}`);
  }
  return { w, b };
}

// --- protobuf, as little as ONNX needs: https://protobuf.dev/programming-guides/encoding/
const varint = (n) => { const out = []; for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128); return [...out, n]; };
const tagged = (field, wire) => varint(field * 8 + wire);
const number = (field, n) => Buffer.from([...tagged(field, 0), ...varint(n)]);
const block = (field, content) => {
  const bytes = typeof content === "string" ? Buffer.from(content) : Buffer.concat([].concat(content));
  return Buffer.concat([Buffer.from([...tagged(field, 2), ...varint(bytes.length)]), bytes]);
};

// --- ONNX: the fields of onnx.proto3
const FLOAT = 1;
const floats = (name, dims, values) =>
  block(5, [...dims.map((d) => number(1, d)), number(2, FLOAT), block(8, name),
    block(9, Buffer.from(new Float32Array(values).buffer))]);
const node = (op, inputs, outputs, attributes = []) =>
  block(1, [...inputs.map((n) => block(1, n)), ...outputs.map((n) => block(2, n)), block(4, op), ...attributes]);
const integer = (name, value) => block(5, [block(1, name), number(3, value), number(20, 2)]);
const dim = (d) => block(1, typeof d === "string" ? block(2, d) : number(1, d));
const value = (field, name, dims) =>
  block(field, [block(1, name), block(2, block(1, [number(1, FLOAT), block(2, dims.map(dim))]))]);

function onnx({ w, b }, { mean, scale }, width) {
  // x where it is known, else the mean; then [1 - p, p] by a softmax over [0, score]
  const graph = [
    node("IsNaN", ["features"], ["missing"]),
    node("Where", ["missing", "mean", "features"], ["known"]),
    node("Sub", ["known", "mean"], ["centred"]),
    node("Mul", ["centred", "scale"], ["scaled"]),
    node("MatMul", ["scaled", "weights"], ["product"]),
    node("Add", ["product", "bias"], ["scores"]),
    node("Softmax", ["scores"], ["probabilities"], [integer("axis", 1)]),
    block(2, "logistic"),
    floats("mean", [1, width], mean),
    floats("scale", [1, width], scale),
    floats("weights", [width, 2], w.flatMap((v) => [0, v])),
    floats("bias", [2], [0, b]),
    value(11, "features", ["n", width]),
    value(12, "probabilities", ["n", 2]),
  ];
  return Buffer.concat([number(1, 10), block(2, "logistic.mjs"), block(7, graph), block(8, [block(1, ""), number(2, 20)])]);
}

const training = read(env.SEAWAY_TRAIN_CSV), validation = read(env.SEAWAY_VALIDATION_CSV);
const scale = fitScale(training);
const model = train(training.x.map((row) => scaled(row, scale)), training.y, training.width);
writeFileSync(`${env.SEAWAY_MODEL_OUT}/model.onnx`, onnx(model, scale, training.width));
const answers = validation.x.map((row) => sigmoid(score(scaled(row, scale), model.w, model.b)));
writeFileSync(`${env.SEAWAY_MODEL_OUT}/predictions.csv`, ["no,yes", ...answers.map((p) => `${1 - p},${p}`)].join("\n") + "\n");
const right = answers.filter((p, i) => (p >= 0.5) === (validation.y[i] === 1)).length;
console.log(`node_accuracy=${(right / answers.length).toFixed(6)}`);
