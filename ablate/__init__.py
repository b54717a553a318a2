"""Ablation studies: a question in TOML, trials anywhere, evidence in DuckDB, a page that judges.

The layers, each importing only those below it: cli, report, judge, run, records, study, simclr and paper.
"""
