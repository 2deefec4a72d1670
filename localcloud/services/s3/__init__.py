"""S3: what moto's lacks."""
