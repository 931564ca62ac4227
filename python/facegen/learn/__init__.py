"""What one learns from: the folder `course`, and how its programs are built, run and compared."""
