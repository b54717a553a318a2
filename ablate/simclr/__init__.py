"""SimCLR (Chen et al., ICML 2020), whole: config, data, augmentation, model, loss, pretraining, evaluation.

Imports nothing of the rest of ablate, so that it can be used alone: `trainer.train(config, context)`.
"""
