"""A small web app: it counts its visits in a database, and says which image it runs from."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask

app = Flask(__name__)
IMAGE = Path("/etc/ingot/image.json")
PASSWORD = Path("/run/ingot/secrets/database-password")


def connect() -> Any:
    """Connect to PostgreSQL as DATABASE says, or open a file of SQLite."""
    database = os.environ.get("DATABASE", "sqlite")
    if database == "sqlite":
        return sqlite3.connect(Path(os.environ["STATE_DIRECTORY"]) / "visits.db")
    return psycopg.connect(database, password=PASSWORD.read_text(), connect_timeout=5)


@app.get("/")
def index() -> str:
    """Count a visit, and say what the app runs on."""
    image = json.loads(IMAGE.read_text()) if IMAGE.exists() else {}
    with closing(connect()) as connection, connection:
        connection.execute("create table if not exists visits (path text not null)")
        connection.execute("insert into visits values ('/')")
        [count] = connection.execute("select count(*) from visits").fetchone()
    return f"Flask on Ingot, image {image.get('version', 'unknown')}, visit {count}\n"


@app.get("/healthz")
def health() -> str:
    """Answer the load balancer: clones stay when the database is away."""
    return "ok\n"
