"""The command `halfopen`: one module per verb. Heavy parts are imported where a verb needs them."""

import os

# Before NumPy: we have no use for its linear algebra, whose threads would only turn at the start, and keep
# what a sensor gives up: each thread has capabilities of its own (`sensor.privileges`).
os.environ["OPENBLAS_NUM_THREADS"] = "1"
