"""PostgreSQL. SQLAlchemy lives in this package and nowhere else."""
