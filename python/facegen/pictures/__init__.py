"""People's pictures by the folder: found, decoded, computed, encoded, and taken up again.

What a command does to each is a task, in a file of the command's name. What is finished is known by
a manifest, which `facegen.runs` keeps of faces too.
"""
