"""How connections died: a small notebook of questions to the connection table.

Run it as a script, ``python examples/how_connections_died.py [CAPTURE ...]``, or cell by cell in
Jupyter, VS Code or Spyder. Without captures of your own it reads those of this repository.
"""

# %%
import json
import signal
import sys
from pathlib import Path

import pyarrow.compute as pc

import halfopen

if script := "__file__" in globals():
    signal.signal(
        signal.SIGPIPE, signal.SIG_DFL
    )  # a reader that leaves, such as head, ends it without a word
here = Path(__file__).parent.parent if script else Path.cwd()
captures = [Path(path) for path in sys.argv[1:] if Path(path).exists()] or [here / "captures" / "matrix"]
table = halfopen.classify(captures, places=[here / "captures" / "places"])
print(f"{table.num_rows} connections, {len(table.column_names)} columns")

# %% [markdown]
# How far had they come?

# %%
for row in (
    table.group_by("stage").aggregate([([], "count_all")]).sort_by([("count_all", "descending")]).to_pylist()
):
    print(f"{row['count_all']:6}  {row['stage']}")

# %% [markdown]
# What was left out, and why? Shares mean little without it.

# %%
about = json.loads(table.schema.metadata[b"halfopen"])
for name in ("connections", "decided", "undecided", "broke_off", "replaced", "evicted"):
    print(f"{about['counters'][name]:6}  {name}")

# %% [markdown]
# Resets whose TTL differs from the client's other packets by more than one hop: which signatures are they,
# and did the client name a host before?

# %%
flat = table.flatten()
odd = flat.filter(pc.greater(pc.abs(flat["evidence.ttl_delta"]), 1))
for row in odd.group_by(["signature", "trigger.kind"]).aggregate([([], "count_all")]).to_pylist():
    print(f"{row['count_all']:6}  {row['signature']}, {row['trigger.kind'] or 'no'} name visible")

# %% [markdown]
# Which share of each network's connections was cut?

# %%
cut = pc.not_equal(table["stage"].cast("string"), "no_match")
networks = table.select(["asn", "location"]).append_column("cut", cut).group_by(["asn", "location"])
for row in (
    networks.aggregate([("cut", "mean"), ("cut", "count")]).sort_by([("cut_count", "descending")]).to_pylist()
):
    name = f"AS{row['asn']}" if row["asn"] else "unknown"
    print(f"{row['cut_mean']:7.1%} of {row['cut_count']:5}  {name}, {row['location'] or 'unknown'}")

# %% [markdown]
# From here on with Polars or pandas: `polars.from_arrow(table)`, `table.to_pandas()`.
