"""Cap'n Proto as far as the tunnel speaks it: unpacked messages of structs known beforehand.

Of our own because what strangers send is read by it: it is bounded by the size of the message, and cannot do worse than raise WireError.
"""

from halfopen.tunnelwire.capnp.framing import frame, take_message
from halfopen.tunnelwire.capnp.layout import Capability, Content, Struct, Unknown
from halfopen.tunnelwire.capnp.reading import Message, Pointed
from halfopen.tunnelwire.capnp.writing import encode

__all__ = [
    "Capability",
    "Content",
    "Message",
    "Pointed",
    "Struct",
    "Unknown",
    "encode",
    "frame",
    "take_message",
]
