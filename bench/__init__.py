"""Side-by-side measurements: `make bench`. Each subject is one module; :mod:`bench.subjects` lists them."""
