"""A fleet of clones behind a load balancer."""
