"""How pytest runs the tests: on which worker, and what each of them takes."""
