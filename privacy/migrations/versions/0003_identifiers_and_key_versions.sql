-- A lookup that was stored without its identifier can never be made again under another key, so none may be carried over.
do $$
begin
  if exists (select from vault.identifiers) then
    raise exception 'The vault was filled by a version before identifiers were sealed: run ./selvedge reset and ingest again.';
  end if;
end $$;

set role selvedge_privacy;
-- sealed: the normalised identifier under its subject's data key, so that a new lookup key can hash it again.
-- contested: claimed by more than one subject, so that it leads to nobody until somebody settles whose it is.
alter table vault.identifiers
  add column sealed bytea not null,
  add column contested boolean not null default false;
create index identifiers_lookup_version on vault.identifiers (lookup_key_version);
create index subjects_wrapping_version on vault.subjects (wrapping_key_version);

-- Which version of a key new rows are written under: the word of the database, whatever a process still holds.
create table vault.key_versions (
  name text not null,
  version int not null,
  current_since timestamptz not null default now(),
  finished timestamptz,
  destroyed timestamptz,
  primary key (name, version)
);

-- Every change of the tombstones moves this on, so that a long ingest asks again only when something changed.
create sequence requests.tombstone_changes;
create function requests.note_tombstone_change() returns trigger language plpgsql as $$
begin
  perform nextval('requests.tombstone_changes');
  return null;
end $$;
create trigger tombstones_changed after insert or update or delete or truncate on requests.tombstones
  for each statement execute function requests.note_tombstone_change();
reset role;
