"""Databases, for the rooms that keep something in one: opened, migrated, and every failure made a ``StoreError``.

What stands in the tables is the business of ``api_keys.sql_store`` and ``revocation.sql_store``. SQLAlchemy is imported
here and in those two alone, and only when a database is used.
"""
