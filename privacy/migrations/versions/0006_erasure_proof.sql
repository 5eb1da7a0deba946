set role selvedge_privacy;

-- The audit log becomes a chain: each entry holds the hash of the one before, so that an entry that is changed, removed or
-- moved shows. The database numbers and hashes, whoever appends; `privacy.audit.check` computes the same without it.
alter table audit.log add column prev_hash bytea, add column hash bytea, alter column entry_id drop identity;

create function audit.entry_hash(prev bytea, entry bigint, at timestamptz, actor text, action text, detail jsonb)
returns bytea language sql immutable strict as $$
  select sha256(prev || convert_to(concat_ws(E'\n',
    entry, (extract(epoch from at) * 1000000)::bigint,
    octet_length(actor) || ':' || actor, octet_length(action) || ':' || action, detail::text), 'UTF8'))
$$;

create function audit.append() returns trigger language plpgsql as $$
declare last audit.log;
begin
  perform pg_advisory_xact_lock(1398164812);  -- one entry at a time: a chain has one end
  select * into last from audit.log order by entry_id desc limit 1;
  new.entry_id := coalesce(last.entry_id, 0) + 1;
  new.at := clock_timestamp();
  new.prev_hash := coalesce(last.hash, sha256(convert_to('selvedge audit log', 'UTF8')));
  new.hash := audit.entry_hash(new.prev_hash, new.entry_id, new.at, new.actor, new.action, new.detail);
  return new;
end $$;

do $$
declare
  entry audit.log;
  number bigint := 0;
  prev bytea := sha256(convert_to('selvedge audit log', 'UTF8'));
begin
  for entry in select * from audit.log order by entry_id loop
    number := number + 1;
    update audit.log set prev_hash = prev,
      hash = audit.entry_hash(prev, entry_id, entry.at, entry.actor, entry.action, entry.detail)
    where entry_id = entry.entry_id returning hash into prev;
  end loop;
end $$;

alter table audit.log alter column prev_hash set not null, alter column hash set not null;
create trigger append before insert on audit.log for each row execute function audit.append();

create function audit.refuse() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is appended to, never changed';
end $$;
create trigger unchanged before update or delete on audit.log for each row execute function audit.refuse();

-- The exact text that was signed, by request.
create table requests.certificates (
  request_id uuid primary key references requests.privacy_requests on delete cascade,
  certificate text not null,
  issued timestamptz not null default now()
);

-- Models that an erased subject helped to shape, until they are trained without them.
create table requests.retraining (
  request_id uuid not null references requests.privacy_requests on delete cascade,
  asset_key text not null,
  erased_at timestamptz not null,
  due timestamptz not null,
  retrained timestamptz,
  primary key (request_id, asset_key)
);
create index retraining_open on requests.retraining (asset_key) where retrained is null;

-- What a legal duty keeps of an erased subject's records: only the fields that it needs, without a pseudonym, for the
-- privacy role alone. The day, not the moment: equal moments would tell which records were one person's.
create table requests.retained_records (
  record_id uuid primary key default gen_random_uuid(),
  asset_key text not null,
  reference text not null,
  record jsonb not null,
  retained date not null default current_date,
  keep_until date not null
);
create index retained_records_end on requests.retained_records (keep_until);

-- How many erasures this database has gone through: fewer than the journal of tombstones counts, and it was restored.
create table requests.erasure_epoch (
  one_row boolean primary key default true check (one_row),
  number bigint not null
);
reset role;
