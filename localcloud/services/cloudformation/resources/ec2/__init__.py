"""EC2: networks, security groups, ways out of a network, launch templates."""
