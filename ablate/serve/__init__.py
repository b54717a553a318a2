"""`ablate serve`: the records in a browser, live, on the loopback address only, and read-only."""
