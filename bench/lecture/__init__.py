"""The tables of a lecture on computing convolutional networks: ``python -m bench.lecture``."""
