"""The numbers that the SimCLR paper publishes, one CSV a table or figure, each row with source and status.

Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
ICML 2020 (arXiv 2002.05709 v3).
"""
