"""Postgres, on asyncpg."""
