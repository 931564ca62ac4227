"""What this package's own programs read and write: BMP, .rgb, faces, masks, digits, animations."""
