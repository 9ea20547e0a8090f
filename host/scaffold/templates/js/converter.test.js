import assert from "node:assert/strict";
import { test } from "node:test";

import { Converter } from "./plugin.js";
import { rows } from "./so8t.js";

/** Instructions and reasons, in order. */
function convert(config, chunks) {
  const converter = Converter.open(JSON.stringify(config));
  const batches = [...chunks.map((chunk) => converter.push(chunk)), converter.finish()];
  return {
    instructions: batches.flatMap((batch) => rows(batch.examples.instruction, batch.lines.length)),
    reasons: batches.flatMap((batch) => batch.rejected.map((rejection) => rejection.reason)),
  };
}

const bytes = (text) => new Uint8Array(Buffer.from(text));

test("any chunks give the same examples", () => {
  const source = bytes("水\tALLOW\nfire\tDENY\r\n\nno label\n\tALLOW\nwind\tALLOW");
  const whole = convert({}, [source]);
  assert.deepEqual(whole.instructions, ["水", "fire", "wind"]);
  assert.equal(whole.reasons.length, 2);
  assert.deepEqual(convert({}, Array.from(source, (byte) => new Uint8Array([byte]))), whole);
});

test("bad lines are rejected with a reason", () => {
  const chunks = [new Uint8Array([0xff, 59, 65, 10]), bytes("x".repeat((1 << 20) + 1)), bytes(";ALLOW\n")];
  const { reasons } = convert({ separator: ";" }, chunks);
  assert.deepEqual(reasons, ["the line is not UTF-8", "the line has more than 1048576 bytes"]);
});

test("a wrong configuration is refused", () => {
  assert.throws(() => Converter.open('{"separator": ""}'), { tag: "config" });
  assert.throws(() => Converter.open('{"seperator": ";"}'), { tag: "config" });
});
