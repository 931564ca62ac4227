"""Fine-tuning the segmentation network."""
