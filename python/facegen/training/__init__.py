"""Training networks of one's own, and the synthetic faces that the default one learns from."""
