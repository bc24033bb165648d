"""Events on their way out: the dispatcher, dead letters, webhooks."""
