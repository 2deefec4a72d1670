"""One package for each AWS service, each closing the gaps of moto."""
