"""The contract between ablate and a trainer, and the module that finds trainers."""
