"""Training the colorizer: photos, the 313 classes of their colours, and how rare each is."""
