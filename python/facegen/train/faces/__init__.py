"""Training the DCGAN, and the synthetic faces that the default one has learned from."""
