"""How files are written whole, taken by one process, remembered and trusted."""
