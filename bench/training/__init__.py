"""Steps of training beside PyTorch's: ``python -m bench.training``."""
