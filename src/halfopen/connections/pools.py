"""The pools of a table as the kernels see them: ``entry_at(t, i)`` is row `i` of the entries."""

from __future__ import annotations

import numpy as np

from halfopen.connections.layout import BUCKET, CELL, END, ENTRY, EXTENSION, FREE, PIECE, RANGE_NUMBERS
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import array_of, row_of
from halfopen.model import CONNECTION, FIRST_PACKET

bucket_at = row_of("buckets", BUCKET)
entry_at = row_of("entries", ENTRY)
end_bucket_at = row_of("end_buckets", BUCKET)
end_at = row_of("ends", END)
extension_at = row_of("extensions", EXTENSION)
cell_at = row_of("cells", CELL)
piece_at = row_of("cells", PIECE)
out_at = row_of("out", CONNECTION)
first_packet_at = row_of("first_packets", FIRST_PACKET)
entry_free_at = row_of("entry_stack", FREE)
end_free_at = row_of("end_stack", FREE)
extension_free_at = row_of("extension_stack", FREE)
later_free_at = row_of("later_stack", FREE)
cell_free_at = row_of("cell_stack", FREE)
buffer_free_at = row_of("buffer_stack", FREE)

text = array_of("cells", np.uint8, CELL.itemsize)  # the cells as bytes, for names
buffers = array_of("buffers", np.uint8, FIRST_BYTES)
ranges = array_of("ranges", np.int64, RANGE_NUMBERS)
nets = array_of("nets", np.uint64, 5)
names = array_of("names", np.uint8)
counters = array_of("counters", np.int64)
