"""Any value of any struct of the tunnel, and the same for pycapnp: dictionaries by the names of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import capnp
from hypothesis import strategies as st

from halfopen.tunnelwire.capnp import Struct
from halfopen.tunnelwire.capnp.layout import (
    Data,
    Flag,
    Nested,
    Number,
    Slot,
    Structs,
    Text,
    Texts,
    Union,
    slots,
)
from halfopen.tunnelwire.rpc import methods

_PACKAGE = Path(capnp.__file__).parent
SCHEMA = capnp.load(str(Path(__file__).with_name("tunnel.capnp")))
RPC = capnp.load(str(_PACKAGE / "rpc.capnp"), imports=[str(_PACKAGE.parent)])

NAMES: dict[type[Struct], str] = {methods.Refusal: "ConnectionError"}
STRUCTS = tuple(
    each
    for each in vars(methods).values()
    if isinstance(each, type) and issubclass(each, Struct) and each is not Struct
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_BITS = {"B": (0, 8), "H": (0, 16), "I": (0, 32), "Q": (0, 64), "i": (31, 31), "q": (63, 63)}


def _slot(slot: Slot) -> st.SearchStrategy[Any]:
    match slot:
        case Number(_, packed):
            low, high = _BITS[packed.format[-1]]
            return st.integers(-(2**low) if low else 0, 2**high - 1)
        case Flag():
            return st.booleans()
        case Text(_, raw):
            return st.binary(max_size=40) if raw else _TEXT
        case Data():
            return st.binary(max_size=40)
        case Texts():
            return st.lists(_TEXT, max_size=5).map(tuple)
        case Nested(_, of):
            return values(of)
        case Structs(_, of):
            return st.lists(values(of), max_size=4).map(tuple)
        case Union(_, members):
            kinds = [each.of if isinstance(each, Nested) else each for each in members.values()]
            return st.one_of([values(kind) for kind in kinds])
        case _:
            return st.none()


def values(of: type[Struct]) -> st.SearchStrategy[Any]:
    """Any value of a struct; what points to anything points to nothing."""
    return st.builds(of, **{name: _slot(slot) for name, slot in slots(of)})


def counterpart(of: type[Struct]) -> Any:
    """The struct in the schema."""
    return getattr(SCHEMA, NAMES.get(of, of.__name__))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _plain(slot: Slot, value: Any) -> Any:
    match slot:
        case Nested():
            return plain(value)
        case Structs():
            return [plain(each) for each in value]
        case Texts():
            return list(value)
        case Text(_, raw=True):
            return value.decode()
        case Union():
            name = NAMES.get(type(value), type(value).__name__).removeprefix("Connection")
            return {"error" if name == "Error" else f"connection{name}": plain(value)}
        case _:
            return value


def plain(value: Struct) -> dict[str, Any]:
    """A value as pycapnp gives and takes it."""
    return {_camel(name): _plain(slot, getattr(value, name)) for name, slot in slots(type(value))}
