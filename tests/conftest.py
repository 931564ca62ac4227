"""Makes tests/reference.py and tests/tolerance.py importable from every folder of tests."""
