"""Records: the files that trials write, which are the source of truth, and the DuckDB store built from them."""
