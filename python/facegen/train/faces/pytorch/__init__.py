"""Faces trained by PyTorch, on GPUs: the same networks and losses."""
