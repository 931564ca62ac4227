"""The one door by which pictures come in: all their depths, profiles, orientations and alpha."""
