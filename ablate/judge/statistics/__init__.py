"""Tests, intervals and decisions on paired seeds."""
