import assert from "node:assert/strict";
import { test } from "node:test";

import { Accumulator } from "./plugin.js";

/** A measurement of rows of gold id, predicted id and weight. */
function measured(config, rows) {
  const accumulator = Accumulator.open(JSON.stringify(config), ["ALLOW", "DENY"]);
  const [gold, predicted, weights] = [0, 1, 2].map((field) => rows.map((row) => row[field]));
  accumulator.update({ gold, predicted, weights });
  return accumulator;
}

const value = (accumulator) => accumulator.finalize()[0].value;

test("rows count by weight", () => {
  const rows = [[0, 0, 3], [1, 0, 2], [1, 254, 1]];
  assert.equal(value(measured({}, rows)), 0.5);
  assert.equal(value(measured({ ignore_invalid: true }, rows)), 0.6);
  assert.equal(value(measured({}, [])), null);
});

test("parts merge into the whole", () => {
  const first = measured({}, [[0, 0, 1]]);
  first.merge(measured({}, [[0, 1, 3]]).state());
  assert.equal(value(first), 0.25);
  assert.throws(() => first.merge(new Uint8Array(3)), { tag: "input" });
});

test("a wrong configuration is refused", () => {
  assert.throws(() => Accumulator.open('{"ignore_invalid": 1}', []), { tag: "config" });
  assert.throws(() => Accumulator.open('{"ignore": true}', []), { tag: "config" });
});
