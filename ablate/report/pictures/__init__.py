"""Pictures of a page: what the augmentations make of the images, and what the learned features find alike."""
