"""AWS on one machine: moto's control plane, what it lacks, and real virtual machines."""
