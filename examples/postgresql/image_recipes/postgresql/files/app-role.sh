#!/bin/sh
# Makes the app's role and its database, and gives the role the password that the clone was told.
set -eu
# The password is no argument of a program: others could see it.
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file - <<'SQL'
\set password `cat "$CREDENTIALS_DIRECTORY/password"`
SELECT 'CREATE ROLE app LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') \gexec
ALTER ROLE app PASSWORD :'password';
SELECT 'CREATE DATABASE app OWNER app' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'app') \gexec
SQL
