"""SimCLR (Chen et al., ICML 2020): config, data, augmentation, model, loss, pretraining and evaluation.

Of the rest of ablate it imports only `ablate.trainer`, so that it works alone: `trainer.train(config, context)`.
"""
