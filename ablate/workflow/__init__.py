"""Workflows: what the commands and the Python API do with a study or a suite, from its plan to its pages."""
