// What wrong decisions cost, over all rows and by group.

import { failure, guarded, readConfig } from "./so8t.js";

/** An answer that is no label. */
const INVALID = 254;
const MAX_COST = 1_000_000;
const MAX_GROUPS = 64;
/** With one more row it is still below 2^53, up to which numbers are exact. */
const MAX_SUM = 2 ** 52;

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    costs: {
      type: "array",
      items: { type: "array", items: { type: "integer", minimum: 0, maximum: MAX_COST } },
      description:
        "For every gold label, by id: what each prediction costs, by id, and last what INVALID costs; 0 where it is right and 1 elsewhere unless said",
    },
    groups: { type: "integer", minimum: 0, maximum: MAX_GROUPS, description: "How many groups are told apart; 4 unless said" },
  },
};

const isCount = (value, high) => Number.isInteger(value) && value >= 0 && value <= high;

class Accumulator {
  static open(config, labels) {
    const count = labels.length;
    const byDefault = labels.map((_, gold) => [...labels, "INVALID"].map((_, predicted) => Number(gold !== predicted)));
    const { costs = byDefault, groups = 4 } = readConfig(config, ["costs", "groups"]);
    if (!isCount(groups, MAX_GROUPS)) throw failure.config(`config: \`groups\`: expected 0 to ${MAX_GROUPS}`);
    const isRow = (row) => Array.isArray(row) && row.length === count + 1;
    if (!Array.isArray(costs) || costs.length !== count || !costs.every(isRow)) {
      throw failure.config(`config: \`costs\`: expected ${count} rows of ${count + 1} numbers`);
    }
    if (!costs.flat().every((cost) => isCount(cost, MAX_COST))) {
      throw failure.config(`config: \`costs\`: expected whole numbers from 0 to ${MAX_COST}`);
    }
    const accumulator = new Accumulator();
    accumulator.costs = costs; // by gold and predicted label, INVALID last
    accumulator.sums = Array.from({ length: groups + 1 }, () => ({ cost: 0, rows: 0 })); // the last is of all other groups
    accumulator.all = { cost: 0, rows: 0 };
    return accumulator;
  }

  names() {
    const groups = this.sums.map((_, group) => `group.${group === this.sums.length - 1 ? "other" : group}.cost`);
    return ["cost", "cost_worst_group", ...groups];
  }

  metrics() {
    const high = Math.max(...this.costs.flat());
    return this.names().map((name) => ({ name, direction: "lower", low: 0, high }));
  }

  wants() {
    return { scores: false, weights: true, groups: true, texts: false };
  }

  add(group, cost, rows) {
    for (const sums of [this.sums[group], this.all]) {
      sums.cost += cost;
      sums.rows += rows;
    }
    if (this.all.cost > MAX_SUM || this.all.rows > MAX_SUM) {
      throw failure.input(`the costs or weights sum up to more than ${MAX_SUM}`);
    }
  }

  update({ gold, predicted, weights, groups }) {
    const last = this.sums.length - 1;
    for (let row = 0; row < gold.length; row++) {
      const costs = this.costs[gold[row]];
      const cost = costs[predicted[row] === INVALID ? costs.length - 1 : predicted[row]];
      // QuickJS is given numbers from 2^31 on as negative ones; `>>> 0` makes them whole again.
      const weight = weights.length > 0 ? weights[row] >>> 0 : 1;
      const group = groups.length > 0 ? groups[row] >>> 0 : 0;
      this.add(Math.min(group, last), cost * weight, weight);
    }
  }

  /** Eight bytes each, the lowest first: for every group cost and rows. */
  state() {
    const bytes = new Uint8Array(16 * this.sums.length);
    const view = new DataView(bytes.buffer);
    this.sums.forEach(({ cost, rows }, group) => {
      view.setBigUint64(16 * group, BigInt(cost), true);
      view.setBigUint64(16 * group + 8, BigInt(rows), true);
    });
    return bytes;
  }

  merge(state) {
    const expected = 16 * this.sums.length;
    if (state.length !== expected) throw failure.input(`state: expected ${expected} bytes, found ${state.length}`);
    const view = new DataView(Uint8Array.from(state).buffer);
    for (let group = 0; group < this.sums.length; group++) {
      this.add(group, Number(view.getBigUint64(16 * group, true)), Number(view.getBigUint64(16 * group + 8, true)));
    }
  }

  finalize() {
    const mean = ({ cost, rows }) => (rows > 0 ? cost / rows : null);
    const known = this.sums.map(mean).filter((value) => value !== null);
    const worst = known.length > 0 ? Math.max(...known) : null;
    const values = [mean(this.all), worst, ...this.sums.map(mean)];
    // And what it returns as u32 must be given as negative from 2^31 on, which is what `| 0` does.
    const rows = [this.all, this.all, ...this.sums].map((sums) => Math.min(sums.rows, 0xffffffff) | 0);
    return this.names().map((name, i) => ({ name, value: values[i], support: rows[i] }));
  }
}

export const measurement = {
  Accumulator: guarded(Accumulator),
  describe: () => ({
    name: "weighted-error",
    version: "0.1.0",
    licence: "Apache-2.0",
    configSchema: JSON.stringify(SCHEMA),
  }),
};
