"""The server, its patches of moto, its permissions."""
