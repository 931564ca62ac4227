"""Training pix2pix: pairs of pictures, and the two networks that play against each other."""
