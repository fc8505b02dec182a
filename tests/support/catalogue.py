"""The schema as the catalogue shows it, as text that two versions of PostgreSQL agree on."""

import psycopg

QUERIES = {
    "schema": "select pg_get_userbyid(nspowner), nspacl::text from pg_namespace where nspname = 'harness'",
    "relations": (
        "select c.relname, c.relkind::text, pg_get_userbyid(c.relowner), c.reloptions::text, c.relacl::text"
        " from pg_class c where c.relnamespace = 'harness'::regnamespace and c.relkind in ('r', 'p', 'v')"
        " and not c.relispartition order by 1"
    ),
    "columns": (
        "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage::text,"
        " pg_get_expr(d.adbin, d.adrelid) from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum"
        " where c.relnamespace = 'harness'::regnamespace and c.relkind in ('r', 'p', 'v')"
        " and not c.relispartition and a.attnum > 0 order by 1, a.attnum"
    ),
    "constraints": (
        "select c.conrelid::regclass::text, c.contype::text, pg_get_constraintdef(c.oid) from pg_constraint c"
        " join pg_class r on r.oid = c.conrelid where c.connamespace = 'harness'::regnamespace"
        " and not r.relispartition and c.contype <> 'n' order by 1, 2, 3"
    ),
    "indexes": (
        "select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i"
        " join pg_class r on r.oid = i.indrelid where r.relnamespace = 'harness'::regnamespace"
        " and not r.relispartition order by 1"
    ),
    "triggers": (
        "select t.tgrelid::regclass::text, pg_get_triggerdef(t.oid)"
        " from pg_trigger t join pg_class r on r.oid = t.tgrelid"
        " where r.relnamespace = 'harness'::regnamespace and not r.relispartition"
        " and not t.tgisinternal order by 1, 2"
    ),
    "view": "select pg_get_viewdef('harness.control'::regclass)",
    "functions": (
        "select p.oid::regprocedure::text, pg_get_userbyid(p.proowner), p.prosecdef, p.provolatile::text,"
        " p.proconfig::text, p.proacl::text, md5(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc))"
        " from pg_proc p"
        " where p.pronamespace = 'harness'::regnamespace order by 1"
    ),
    "roles": (
        "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolbypassrls from pg_roles"
        " where rolname like 'harness%' order by 1"
    ),
    "database": (
        "select has_database_privilege('public', current_database(), 'CREATE'),"
        " has_database_privilege('public', current_database(), 'TEMP'),"
        " has_schema_privilege('public', 'public', 'CREATE')"
    ),
}


def dump(url: str) -> str:
    """Return the schema at `url` as text, sorted."""
    lines = []
    with psycopg.connect(url) as connection:
        for title, statement in QUERIES.items():
            lines.append(f"-- {title}")
            rows = connection.execute(statement).fetchall()  # type: ignore[call-overload]  # the statements above
            lines += [" | ".join(_plain(value) for value in row) for row in rows]
    # The maintenance right of 17 and newer is one more letter in a table's list; nobody but the owner has it.
    return "\n".join(lines).replace("arwdDxtm", "arwdDxt") + "\n"


def _plain(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())
