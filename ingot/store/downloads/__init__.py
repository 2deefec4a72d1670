"""What a lock has beside packages, fetched into the store by its digest."""
