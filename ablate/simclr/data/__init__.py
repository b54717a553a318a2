"""The images of a trial: generated textures, image folders and packs, and their batches."""
