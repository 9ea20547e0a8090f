"""One request a line: the instruction, a separator, the label."""

import so8t
from wit_world.exports.conversion import Batch, Rejection
from wit_world.imports.types import Examples

# The longest line, in bytes: a file without line breaks must not fill the memory.
MAX_LINE = 1 << 20


@so8t.guarded
class Converter:
    @classmethod
    def open(cls, config):
        """Begins with a source; `config` is the manifest's table as JSON."""
        separator = so8t.read_config(config, ["separator"]).get("separator", "\t")
        if not isinstance(separator, str) or separator == "" or "\n" in separator:
            raise so8t.config_failure("config: `separator`: expected a text without line breaks")
        self = cls()
        self.separator = separator
        self.line = bytearray()  # the line that has not ended yet, or what was kept of one that is too long
        self.too_long = False
        self.number = 1  # of that line
        return self

    def push(self, chunk):
        """Takes the next bytes. A chunk may end anywhere, even within a character: only whole lines are read."""
        batch = Lines()
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self.take(piece)
            self.end_line(batch)
        self.take(rest)
        return batch.give()

    def finish(self):
        batch = Lines()
        self.end_line(batch)
        return batch.give()

    def take(self, piece):
        self.too_long = self.too_long or len(self.line) + len(piece) > MAX_LINE
        if not self.too_long:
            self.line += piece

    def end_line(self, batch):
        if self.too_long:
            batch.reject(self.number, f"the line has more than {MAX_LINE} bytes")
        else:
            self.read_line(batch)
        self.line.clear()
        self.too_long = False
        self.number += 1

    def read_line(self, batch):
        try:
            line = self.line.decode()
        except UnicodeDecodeError:
            return batch.reject(self.number, "the line is not UTF-8")
        line = line.removesuffix("\r")
        if line == "":
            return
        instruction, separator, label = line.partition(self.separator)
        if not separator:
            batch.reject(self.number, "there is no separator: expected an instruction, a separator and a label")
        elif not instruction.strip():
            batch.reject(self.number, "the instruction is empty")
        else:
            batch.add(self.number, instruction, label)


class Lines:
    """The examples and rejections of one call."""

    def __init__(self):
        self.instructions, self.labels, self.lines, self.rejected = [], [], [], []

    def add(self, line, instruction, label):
        self.instructions.append(instruction)
        self.labels.append(label)
        self.lines.append(line)

    def reject(self, line, reason):
        self.rejected.append(Rejection(line, reason))

    def give(self):
        lacking = so8t.lacking()
        instruction, label = so8t.column(self.instructions), so8t.column(self.labels)
        examples = Examples(
            id=lacking, instruction=instruction, input=lacking, output=lacking, label=label, group=lacking, extra_json=lacking
        )
        return Batch(examples, self.lines, self.rejected)
