"""Use cases: who may do what, which actions exist, executing them once. Knows neither gRPC nor SQL."""
