"""The package's own modules: what tests of its structure read."""

from pathlib import Path

import facegen

PACKAGE = Path(facegen.__file__).parent
# An installed package has the course beside its modules: files for readers, which import nothing
# here and are held to no order.
MODULES = sorted(
    file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "course"
)
