"""What a recipe puts into an image, and what every image carries."""
