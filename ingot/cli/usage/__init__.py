"""How a command line is declared, documented and, where it is wrong, answered."""
