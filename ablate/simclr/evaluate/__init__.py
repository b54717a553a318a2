"""What a frozen encoder is worth: the parts of an evaluation, which `ablate.simclr.trainer` knows by name."""
