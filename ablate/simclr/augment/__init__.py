"""The paper's augmentations as batched tensor programs with per-image parameters."""
