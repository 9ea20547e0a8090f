// The share of rows whose prediction is right.

import { failure, guarded, readConfig } from "./so8t.js";

/** An answer that is no label. */
const INVALID = 254;

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    ignore_invalid: { type: "boolean", description: "Whether answers that are no label are left out; false unless said" },
  },
};

export class Accumulator {
  /** Begins a measurement; `config` is the manifest's table as JSON, `labels` are the names of the label set. */
  static open(config, labels) {
    const { ignore_invalid: ignoreInvalid = false } = readConfig(config, ["ignore_invalid"]);
    if (typeof ignoreInvalid !== "boolean") throw failure.config("config: `ignore_invalid`: expected true or false");
    const accumulator = new Accumulator();
    accumulator.ignoreInvalid = ignoreInvalid;
    accumulator.right = 0; // rows by weight
    accumulator.all = 0;
    return accumulator;
  }

  metrics() {
    return [{ name: "right", direction: "higher", low: 0, high: 1 }];
  }

  wants() {
    return { scores: false, weights: true, groups: false, texts: false }; // resampling passes counts as weights
  }

  /** Takes rows in. The host has checked the columns. */
  update({ gold, predicted, weights }) {
    for (let row = 0; row < gold.length; row++) {
      if (predicted[row] === INVALID && this.ignoreInvalid) continue;
      // QuickJS is given numbers from 2^31 on as negative ones; `>>> 0` makes them whole again.
      const weight = weights.length > 0 ? weights[row] >>> 0 : 1;
      if (gold[row] === predicted[row]) this.right += weight;
      this.all += weight;
    }
  }

  /** All that was taken in: whole numbers that add, so that any sharding gives the same values. */
  state() {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(this.right), true);
    view.setBigUint64(8, BigInt(this.all), true);
    return bytes;
  }

  merge(state) {
    if (state.length !== 16) throw failure.input(`state: expected 16 bytes, found ${state.length}`);
    const view = new DataView(Uint8Array.from(state).buffer);
    this.right += Number(view.getBigUint64(0, true));
    this.all += Number(view.getBigUint64(8, true));
  }

  finalize() {
    const value = this.all > 0 ? this.right / this.all : null; // absent where there are no rows
    // And what it returns as u32 must be given as negative from 2^31 on, which is what `| 0` does.
    return [{ name: "right", value, support: Math.min(this.all, 0xffffffff) | 0 }];
  }
}

export const measurement = {
  Accumulator: guarded(Accumulator),
  describe: () => ({ name: "@NAME@", version: "0.1.0", licence: "Apache-2.0", configSchema: JSON.stringify(SCHEMA) }),
};
