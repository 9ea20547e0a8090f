"""What plugins of so8t written in Python share: failures, text columns, errors that say where. Nothing here needs to be changed."""

import functools
import json
import traceback

from componentize_py_types import Err
from wit_world.imports.types import Failure_Config, Failure_Input, Failure_Internal, Metadata, Texts


def config_failure(text):
    """The manifest's configuration is wrong: raise this, with what was expected."""
    return Err(Failure_Config(text))


def input_failure(text):
    """The input is wrong: raise this."""
    return Err(Failure_Input(text))


def metadata(name, version, licence, config_schema):
    """What `describe` returns; the schema is a dictionary."""
    return Metadata(name, version, licence, json.dumps(config_schema))


def read_config(config, keys):
    """The configuration as a dictionary that has no other keys than these."""
    read = json.loads(config)
    for key in read:
        if key not in keys:
            raise config_failure(f"config: unknown key `{key}`: expected `{'`, `'.join(keys)}`")
    return read


def guarded(method):
    """Turns what a method did not expect into a failure that says where it happened."""

    @functools.wraps(method)
    def call(*values):
        try:
            return method(*values)
        except Err:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[1:]
            where = "".join(f"\n  at {frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames))
            raise Err(Failure_Internal(f"{type(error).__name__}: {error}{where}")) from None

    return call


def rows(column, count):
    """The rows of a text column as a list; `count` empty ones where it is lacking."""
    ends = column.offsets
    return [str(column.bytes[ends[row] : ends[row + 1]], "utf-8") for row in range(count)] if ends else [""] * count


def column(texts):
    """A text column of these rows."""
    encoded = [text.encode() for text in texts]
    offsets = [0]
    for text in encoded:
        offsets.append(offsets[-1] + len(text))
    return Texts(b"".join(encoded), offsets)


def lacking():
    """A column that the source lacks."""
    return Texts(b"", [])
