"""What trials leave behind: files that are the truth, and the DuckDB store over them."""
