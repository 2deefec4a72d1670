"""How Ingot talks to AWS: clients, retries, waiting, errors in words, tags."""
