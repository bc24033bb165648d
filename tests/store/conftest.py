"""PostgreSQL for the tests of the store."""

from tests.support.postgres import database, fresh, own_postgres, postgres, template

__all__ = ["database", "fresh", "own_postgres", "postgres", "template"]
