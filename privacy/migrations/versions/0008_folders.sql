set role selvedge_privacy;

-- Folders outside the database that held data once: empty, they are not mounted, and nobody can be searched in them.
create table requests.folders (
  name text primary key,
  first_used timestamptz not null default now()
);
reset role;
