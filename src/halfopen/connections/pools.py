"""The pools of a table as the kernels see them: ``entries(t)`` is the array of all entries."""

from __future__ import annotations

import numpy as np

from halfopen.connections.layout import CELL, ENTRY, NEIGHBOURS, RANGE_NUMBERS, SERVER
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import outside
from halfopen.model import CONNECTION

buckets = outside("buckets", np.uint32)
entries = outside("entries", ENTRY)
neighbours = outside("neighbours", NEIGHBOURS)
cells = outside("cells", CELL)
text = outside("cells", np.uint8, CELL.itemsize)  # the same as bytes, for names
servers = outside("servers", SERVER)
buffers = outside("buffers", np.uint8, FIRST_BYTES)
ranges = outside("ranges", np.int64, RANGE_NUMBERS)
nets = outside("nets", np.uint64, 5)
out = outside("out", CONNECTION)
names = outside("names", np.uint8)
counters = outside("counters", np.int64)
entry_stack = outside("entry_stack", np.uint32)
cell_stack = outside("cell_stack", np.uint32)
few_stack = outside("few_stack", np.uint32)
block_stack = outside("block_stack", np.uint32)
server_stack = outside("server_stack", np.uint32)
buffer_stack = outside("buffer_stack", np.uint32)
