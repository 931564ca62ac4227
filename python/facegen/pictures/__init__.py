"""People's pictures by the folder: found, decoded, computed, encoded, and taken up again."""
