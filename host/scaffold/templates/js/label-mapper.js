// The names of the four decisions in any case, and further spellings that the configuration gives.

import { failure, guarded, readConfig, rows } from "./so8t.js";

/** Each is graver than the one before. */
const NAMES = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];
const REJECTED = 255;

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    aliases: {
      type: "object",
      additionalProperties: { enum: NAMES },
      description: "Further spellings, in any case, and the decision that each stands for",
    },
  },
};

export class Mapper {
  /** Begins with a source; `config` is the manifest's table as JSON. */
  static open(config) {
    const { aliases = {} } = readConfig(config, ["aliases"]);
    if (typeof aliases !== "object" || aliases === null || Array.isArray(aliases)) {
      throw failure.config("config: `aliases`: expected a table");
    }
    const mapper = new Mapper();
    mapper.ids = new Map();
    for (const [spelling, name] of Object.entries(aliases)) {
      if (!NAMES.includes(name)) {
        throw failure.config(`config: \`aliases.${spelling}\`: expected one of \`${NAMES.join("`, `")}\``);
      }
      mapper.ids.set(spelling.toLowerCase(), NAMES.indexOf(name));
    }
    NAMES.forEach((name, id) => mapper.ids.set(name.toLowerCase(), id));
    return mapper;
  }

  labels() {
    return { names: NAMES, severity: new Uint8Array([0, 1, 2, 3]) };
  }

  /** One id or one reason for every row; never a default. */
  assign(examples) {
    const count = Math.max(examples.instruction.offsets.length - 1, 0);
    const [ids, code, reasons] = [new Uint8Array(count), new Uint8Array(count), []];
    rows(examples.label, count).forEach((label, row) => {
      ids[row] = this.ids.get(label.toLowerCase()) ?? REJECTED;
      if (ids[row] === REJECTED) {
        code[row] = reasonCode(reasons, label === "" ? "there is no label" : `unknown label \`${label}\``);
      }
    });
    return { ids, code, reasons };
  }
}

/** The index of a reason. There can be 256 of them in a batch; the last stands for all that follow. */
function reasonCode(reasons, reason) {
  const known = reasons.indexOf(reason);
  if (known >= 0) return known;
  if (reasons.length < 256) reasons.push(reasons.length < 255 ? reason : "one of more than 255 different reasons");
  return reasons.length - 1;
}

export const mapping = {
  Mapper: guarded(Mapper),
  describe: () => ({ name: "@NAME@", version: "0.1.0", licence: "Apache-2.0", configSchema: JSON.stringify(SCHEMA) }),
};
