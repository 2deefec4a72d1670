"""What is wrong with recipes, as far as it is known before a bake: ``ingot check``."""
