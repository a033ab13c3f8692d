"""The reader again, in plain Python: slow, readable, written from the formats' own descriptions.

It is what the kernels are proved equal to, and the place to look up what they are meant to do.
"""

from __future__ import annotations

from halfopen.capture.reference.containers import Result, read

__all__ = ["Result", "read"]
