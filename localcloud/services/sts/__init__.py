"""STS: session tokens that the cloud takes, and nobody else's."""
