"""PostgreSQL. The only room that knows SQL."""
