"""Numbers in files: text, .npy, IDX, latents."""
