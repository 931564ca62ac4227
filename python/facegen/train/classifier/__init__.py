"""A classifier of one's own classes, made of a network that knows pictures (transfer learning)."""
