"""What is in front of a fleet: an Application or a Network Load Balancer, or nothing."""
