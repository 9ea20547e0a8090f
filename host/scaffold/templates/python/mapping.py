"""The names of the four decisions in any case, and further spellings that the configuration gives."""

import so8t
from wit_world.exports.mapping import LabelSet, Mapped

# Each is graver than the one before.
NAMES = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]
REJECTED = 255


@so8t.guarded
class Mapper:
    @classmethod
    def open(cls, config):
        """Begins with a source; `config` is the manifest's table as JSON."""
        aliases = so8t.read_config(config, ["aliases"]).get("aliases", {})
        if not isinstance(aliases, dict):
            raise so8t.config_failure("config: `aliases`: expected a table")
        self = cls()
        self.ids = {}
        for spelling, name in aliases.items():
            if name not in NAMES:
                raise so8t.config_failure(f"config: `aliases.{spelling}`: expected one of `{'`, `'.join(NAMES)}`")
            self.ids[spelling.lower()] = NAMES.index(name)
        self.ids.update((name.lower(), id) for id, name in enumerate(NAMES))
        return self

    def labels(self):
        return LabelSet(NAMES, bytes([0, 1, 2, 3]))

    def assign(self, examples):
        """One id or one reason for every row; never a default."""
        count = max(len(examples.instruction.offsets) - 1, 0)
        ids, code, reasons = bytearray(), bytearray(count), []
        for row, label in enumerate(so8t.rows(examples.label, count)):
            ids.append(self.ids.get(label.lower(), REJECTED))
            if ids[row] == REJECTED:
                code[row] = reason_code(reasons, f"unknown label `{label}`" if label else "there is no label")
        return Mapped(bytes(ids), bytes(code), reasons)


def reason_code(reasons, reason):
    """The index of a reason. There can be 256 of them in a batch; the last stands for all that follow."""
    if reason in reasons:
        return reasons.index(reason)
    if len(reasons) < 256:
        reasons.append(reason if len(reasons) < 255 else "one of more than 255 different reasons")
    return len(reasons) - 1
