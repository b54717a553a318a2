"""The commands: each parses options, calls one function and prints. Slow imports happen inside the functions."""
