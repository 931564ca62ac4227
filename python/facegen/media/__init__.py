"""What goes in and comes out: latents and results as text, pictures, output files."""
