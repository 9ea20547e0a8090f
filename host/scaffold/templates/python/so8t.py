"""What plugins of so8t written in Python share: failures, text columns, errors that say where. Nothing here needs to be changed."""

import functools
import json

from componentize_py_types import Err
from wit_world.imports import log
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


# Exports that can return a failure, and those that cannot: what goes wrong in the others is logged, and ends the plugin.
FALLIBLE = ("open", "push", "finish", "assign", "update", "merge", "finalize")
PLAIN = ("describe", "labels", "metrics", "wants", "state")


def guarded(owner):
    """Lets every exception of a class's exports, or of one function, reach its author: with type, text, file and line."""
    if not isinstance(owner, type):
        return guard(owner, True)
    for name in FALLIBLE + PLAIN:
        own = owner.__dict__.get(name)
        if own is not None:
            bound = isinstance(own, (classmethod, staticmethod))
            call = guard(own.__func__ if bound else own, name in FALLIBLE)
            setattr(owner, name, type(own)(call) if bound else call)
    return owner


def guard(method, fallible):
    @functools.wraps(method)
    def call(*values):
        try:
            return method(*values)
        except Err:
            raise
        except BaseException as error:
            text = described(error)
            if fallible:
                raise Err(Failure_Internal(text)) from None
            log.log(log.Level.ERROR, text.replace("\n", " "))
            raise

    return call


def described(error):
    """An exception and where it was raised. Nothing here opens a file, which a plugin has none of."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = type(error).__name__
    places, frame = [], error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if code.co_filename != __file__:
            places.append(f"\n  at {code.co_name} ({code.co_filename}:{frame.tb_lineno})")
        frame = frame.tb_next
    cause = error.__cause__
    return text + "".join(reversed(places)) + (f"\n  because of {described(cause)}" if cause is not None else "")


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
