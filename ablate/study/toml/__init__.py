"""Reading TOML with the position of every key."""
