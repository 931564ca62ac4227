"""Networks that others published: fetched by name, checked, kept in a cache.

`facegen.fetch` is what fetches them: it knows what a file of each must hold.

>>> import facegen
>>> facegen.fetch("colorizer")  # the path of the file
"""

from __future__ import annotations

from facegen.hub.cache import cached, find, folder, is_cached, look_up
from facegen.hub.fetch import fetch
from facegen.hub.published import PUBLISHED, Published

__all__ = ["PUBLISHED", "Published", "cached", "fetch", "find", "folder", "is_cached", "look_up"]
