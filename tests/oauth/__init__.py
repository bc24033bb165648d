"""OAuth connections: tokens over replicas, sign-ins in the browser."""
