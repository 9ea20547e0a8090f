// What plugins of so8t written in JavaScript share: failures, text columns, UTF-8. Nothing here needs to be changed.

/** Why a call does not succeed: throw one of these. */
export const failure = {
  /** The manifest's configuration is wrong: what was expected. */
  config: (text) => ({ tag: "config", val: text }),
  /** The input is wrong. */
  input: (text) => ({ tag: "input", val: text }),
  /** The plugin is at fault. */
  internal: (text) => ({ tag: "internal", val: text }),
};

/** The configuration as an object that has no other keys than these. */
export function readConfig(config, keys) {
  const read = JSON.parse(config);
  for (const key of Object.keys(read)) {
    if (!keys.includes(key)) {
      throw failure.config(`config: unknown key \`${key}\`: expected \`${keys.join("`, `")}\``);
    }
  }
  return read;
}

// Exports that cannot return a failure: `open` tries them, so that what goes wrong in them is told too.
const PLAIN = ["labels", "metrics", "wants", "state"];

/** Lets every exception of a class's exports reach its author: with type, text, file and line. */
export function guarded(type) {
  const guard = (holder, name, after = (result) => result) => {
    const call = holder[name];
    holder[name] = function (...values) {
      try {
        return after(call.apply(this, values));
      } catch (error) {
        throw error?.tag ? error : failure.internal(described(error));
      }
    };
  };
  guard(type, "open", (opened) => {
    for (const name of PLAIN) opened[name]?.();
    return opened;
  });
  for (const name of ["push", "finish", "assign", "update", "merge", "finalize"]) {
    if (name in type.prototype) guard(type.prototype, name);
  }
  return type;
}

/** What was thrown, be it an error or any other value, and where; without the lines of this file. */
function described(thrown) {
  const lines = `${thrown?.stack ?? ""}`.split("\n").filter((line) => /^\s*at /.test(line) && !/so8t\.js|\(native\)/.test(line));
  let text;
  try {
    text = `${thrown}`;
  } catch {
    text = "a value that cannot be shown was thrown";
  }
  return [text, ...lines].join("\n");
}

/** The text of bytes, or null where they are not UTF-8. */
export function decode(bytes, start = 0, end = bytes.length) {
  let text = "";
  for (let at = start; at < end; ) {
    const first = bytes[at++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || at + more > end) return null;
    let code = first & (0x3f >> more);
    for (let i = 0; i < more; i++) {
      const next = bytes[at++];
      if ((next & 0xc0) !== 0x80) return null;
      code = (code << 6) | (next & 0x3f);
    }
    if (code < [0x80, 0x800, 0x10000][more - 1] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return null;
    text += String.fromCodePoint(code);
  }
  return text;
}

/** Appends the UTF-8 of a text to an array of bytes. */
export function encode(text, bytes = []) {
  for (const character of text) {
    let code = character.codePointAt(0);
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd; // half of a pair
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return bytes;
}

/** The rows of a text column as an array; `count` empty ones where it is lacking. */
export function rows(column, count) {
  const { bytes, offsets } = column;
  if (offsets.length === 0) return Array(count).fill("");
  return Array.from({ length: count }, (_, row) => decode(bytes, offsets[row], offsets[row + 1]));
}

/** A text column of these rows. */
export function column(texts) {
  const bytes = [];
  const offsets = [0];
  for (const text of texts) {
    encode(text, bytes);
    offsets.push(bytes.length);
  }
  return { bytes: new Uint8Array(bytes), offsets };
}

/** A column that the source lacks. */
export const lacking = () => ({ bytes: new Uint8Array(), offsets: [] });
