"""Recipes as plain values and back: what is stored with image sets and runs, and how two of them differ."""

import dataclasses
import typing

from siim_kernel.errors import RecipeError


def to_dict(value):
    """A recipe (or a part of one) as plain dicts, lists, strings and numbers, ready for JSON."""
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def from_dict(kind, values):
    """The dataclass `kind` from what `to_dict` made of it.

    Raises RecipeError for unknown keys, missing keys and impossible values, naming them.
    """
    if not isinstance(values, dict):
        raise RecipeError(f"{kind.__name__} is made of names and values, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(fields)}")
    types = typing.get_type_hints(kind)
    try:
        return kind(**{name: _typed(types[name], value) for name, value in values.items()})
    except TypeError as error:
        raise RecipeError(f"{kind.__name__}: {error}") from None


def _typed(kind, value):
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    if typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(kind)[0]
        return tuple(_typed(inner, item) for item in value)
    return value


def difference(stored, wanted):
    """Lines that name each field in which two dataclasses of one kind differ, `stored` first; empty if none.

    What is said `about` a recipe decides nothing and is left out.
    """
    left, right = _flat(to_dict(stored)), _flat(to_dict(wanted))
    return [f"{name}: stored {value!r}, wanted {right[name]!r}" for name, value in left.items() if value != right[name] and name != "about"]


def _flat(values, prefix=""):
    """Nested dicts as one with dotted names."""
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
