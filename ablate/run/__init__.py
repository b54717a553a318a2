"""Running trials: the plan, the pool of worker processes, and one attempt at one trial."""
