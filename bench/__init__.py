"""The package beside its peers: the same weights, one run, verified first. See README.md."""
