"""Training the digit classifier."""
