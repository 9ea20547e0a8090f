// One request a line: the instruction, a separator, the label.

import { column, decode, failure, guarded, lacking, readConfig } from "./so8t.js";

/** The longest line, in bytes: a file without line breaks must not fill the memory. */
const MAX_LINE = 1 << 20;

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    separator: { type: "string", minLength: 1, description: "Between instruction and label; a tab unless said" },
  },
};

/** The examples and rejections of one call. */
class Batch {
  instructions = [];
  labels = [];
  lines = [];
  rejected = [];

  reject(line, reason) {
    this.rejected.push({ line, reason });
  }

  give() {
    const examples = { id: lacking(), input: lacking(), output: lacking(), group: lacking(), extraJson: lacking() };
    examples.instruction = column(this.instructions);
    examples.label = column(this.labels);
    return { examples, lines: this.lines, rejected: this.rejected };
  }
}

export class Converter {
  /** Begins with a source; `config` is the manifest's table as JSON. */
  static open(config) {
    const { separator = "\t" } = readConfig(config, ["separator"]);
    if (typeof separator !== "string" || separator === "" || separator.includes("\n")) {
      throw failure.config("config: `separator`: expected a text without line breaks");
    }
    const converter = new Converter();
    converter.separator = separator;
    converter.pieces = []; // of the line that has not ended yet
    converter.length = 0; // of that line, in bytes
    converter.number = 1; // of that line
    return converter;
  }

  /** Takes the next bytes. A chunk may end anywhere, even within a character: only whole lines are read. */
  push(chunk) {
    const batch = new Batch();
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf(10, at);
      const piece = chunk.slice(at, end < 0 ? chunk.length : end);
      this.length += piece.length;
      if (this.length <= MAX_LINE) this.pieces.push(piece);
      if (end < 0) break;
      this.endLine(batch);
      at = end + 1;
    }
    return batch.give();
  }

  finish() {
    const batch = new Batch();
    this.endLine(batch);
    return batch.give();
  }

  endLine(batch) {
    if (this.length > MAX_LINE) batch.reject(this.number, `the line has more than ${MAX_LINE} bytes`);
    else this.readLine(batch);
    this.pieces = [];
    this.length = 0;
    this.number += 1;
  }

  readLine(batch) {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    let line = decode(bytes);
    if (line === null) return batch.reject(this.number, "the line is not UTF-8");
    if (line.endsWith("\r")) line = line.slice(0, -1);
    if (line === "") return;
    const place = line.indexOf(this.separator);
    if (place < 0) {
      return batch.reject(this.number, "there is no separator: expected an instruction, a separator and a label");
    }
    const instruction = line.slice(0, place);
    if (instruction.trim() === "") return batch.reject(this.number, "the instruction is empty");
    batch.instructions.push(instruction);
    batch.labels.push(line.slice(place + this.separator.length));
    batch.lines.push(this.number);
  }
}

export const conversion = {
  Converter: guarded(Converter),
  describe: () => ({ name: "@NAME@", version: "0.1.0", licence: "Apache-2.0", configSchema: JSON.stringify(SCHEMA) }),
};
