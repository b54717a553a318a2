"""The profile of tests that train for real: two epochs of the smallest encoder on a few synthetic images."""


def tiny_profile(batch_size: int, train_images: int, test_images: int, part: str, more: str = "") -> str:
    """The text of a profile. part: of the evaluation. more: further lines of its `[base]`."""
    return f"""
title = "Tiny"
description = "A few steps on a few images."

[base]
batch_size = {batch_size}
epochs = 2
warmup_epochs = 0.5
data.name = "textures"
data.train_images = {train_images}
data.test_images = {test_images}
data.image_size = 16
encoder.name = "resnet8"
encoder.stem = "strided"
head.output_dimension = 8
optimizer.name = "adamw"
optimizer.learning_rate = 0.01
optimizer.scaling = "none"
evaluate.parts = ["{part}"]
{more}"""
