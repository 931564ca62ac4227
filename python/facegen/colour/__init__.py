"""What colours mean: ICC profiles, primaries and curves, L*a*b*."""
