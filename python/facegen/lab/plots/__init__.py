"""Pictures of what was found, by matplotlib (the extra "plot"): a file an experiment."""
