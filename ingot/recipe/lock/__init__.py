"""`recipe.lock`: resolving a recipe's packages or base AMI, and the file that pins them."""
