"""The connections of a dataset once more, by DuckDB from Parquet to Parquet: what writing them costs alone."""

from __future__ import annotations

import os
import sys

import duckdb


def main(data: str) -> None:
    """Write the connections below a data directory to one file in it, and wait for the disk."""
    copy = f"{data}/copy.parquet"
    rows = f"'{data}/store/connections/*/*.parquet'"
    duckdb.sql(f"COPY (FROM {rows}) TO '{copy}' (FORMAT parquet, COMPRESSION zstd)")
    os.fsync(os.open(copy, os.O_RDONLY))


if __name__ == "__main__":
    main(sys.argv[1])
