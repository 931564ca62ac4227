"""Imported before NumPy: its BLAS has one thread, as have those of the programs that tests start.

What tests multiply is small, and the machine is shared: threads that wait for each other cost more
than they bring.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
