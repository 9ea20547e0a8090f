import assert from "node:assert/strict";
import { test } from "node:test";

import { Mapper } from "./plugin.js";
import { column } from "./so8t.js";

const assign = (config, labels) =>
  Mapper.open(JSON.stringify(config)).assign({ instruction: column(labels), label: column(labels) });

test("spellings have labels and others have reasons", () => {
  const { ids, code, reasons } = assign({ aliases: { Bad: "REFUSE" } }, ["allow", "DENY", "BAD", "", "perhaps"]);
  assert.deepEqual([...ids], [0, 2, 3, 255, 255]);
  assert.deepEqual([...code], [0, 0, 0, 0, 1]);
  assert.deepEqual(reasons, ["there is no label", "unknown label `perhaps`"]);
});

test("a wrong configuration is refused", () => {
  assert.throws(() => Mapper.open('{"aliases": {"bad": "BLOCK"}}'), { tag: "config" });
  assert.throws(() => Mapper.open('{"alias": {}}'), { tag: "config" });
});

test("there are no more than 256 reasons", () => {
  const { reasons, code } = assign({}, Array.from({ length: 300 }, (_, i) => `label ${i}`));
  assert.equal(reasons.length, 256);
  assert.equal(code[299], 255);
});
