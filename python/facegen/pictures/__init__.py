"""People's pictures by the folder: found, decoded, computed, encoded, and taken up again.

What is finished is known by a manifest, which files of faces have too.
"""
