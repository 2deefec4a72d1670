"""The golden image as a CDK asset."""
