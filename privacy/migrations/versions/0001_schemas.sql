-- Everybody's rights start from nothing.
do $$ begin execute format('revoke all on database %I from public', current_database()); end $$;
revoke all on schema public from public;
do $$
declare r text;
begin
  foreach r in array array['selvedge_privacy', 'selvedge_consent', 'selvedge_ingest', 'selvedge_dbt',
                           'selvedge_serving', 'selvedge_feast', 'selvedge_dagster'] loop
    execute format('grant connect on database %I to %I', current_database(), r);
  end loop;
  execute format('grant temporary on database %I to selvedge_privacy, selvedge_consent, selvedge_ingest, selvedge_dbt',
                 current_database());
end $$;

-- The privacy role erases in every schema that holds subjects: it takes part in the owners' roles and may
-- rewrite tables, force a checkpoint and switch the write-ahead log, so that deleted bytes leave the disk.
grant selvedge_ingest, selvedge_dbt, selvedge_consent to selvedge_privacy;
grant pg_checkpoint to selvedge_privacy;
grant execute on function pg_switch_wal() to selvedge_privacy;

create schema vault authorization selvedge_privacy;
create schema requests authorization selvedge_privacy;
create schema audit authorization selvedge_privacy;
create schema consent authorization selvedge_privacy;
create schema shop authorization selvedge_ingest;
create schema staging authorization selvedge_dbt;
create schema intermediate authorization selvedge_dbt;
create schema marts authorization selvedge_dbt;
create schema feast authorization selvedge_feast;
create schema dagster authorization selvedge_dagster;
alter role selvedge_feast set search_path = feast;
alter role selvedge_dagster set search_path = dagster;

-- Vault: only the privacy role reads it.
set role selvedge_privacy;
create table vault.subjects (
  pseudonym text primary key check (pseudonym ~ '^[0-9a-f]{32}$'),
  wrapped_key bytea not null,
  wrapping_key_version int not null,
  created timestamptz not null default now()
);
create table vault.identifiers (
  lookup bytea primary key,
  lookup_key_version int not null,
  kind text not null,
  pseudonym text not null references vault.subjects on delete cascade
);
create index identifiers_pseudonym on vault.identifiers (pseudonym);
create table vault.direct_identifiers (
  pseudonym text not null references vault.subjects on delete cascade,
  field text not null,
  ciphertext bytea not null,
  updated timestamptz not null default now(),
  primary key (pseudonym, field)
);

-- Consent: appended, never changed; the privacy role alone removes, at erasure.
create table consent.records (
  record_id bigint generated always as identity primary key,
  pseudonym text not null,
  purpose text not null,
  decision text not null check (decision in ('opt_in', 'opt_out')),
  stated_at timestamptz not null,
  received_at timestamptz not null default now(),
  mechanism text not null,
  policy_version text not null,
  source text not null,
  source_key text not null unique,
  proof jsonb not null default '{}'
);
create index records_subject on consent.records (pseudonym, purpose, stated_at);
create table consent.objections (
  objection_id bigint generated always as identity primary key,
  pseudonym text not null,
  asset_key text not null,
  decision text not null check (decision in ('object', 'withdraw')),
  stated_at timestamptz not null default now(),
  mechanism text not null
);
create index objections_subject on consent.objections (pseudonym, asset_key, objection_id);

-- Requests, tombstones and the published registry of assets.
create table requests.assets (
  key text primary key,
  contract jsonb not null,
  published timestamptz not null default now()
);
create table requests.privacy_requests (
  request_id uuid primary key,
  kind text not null,
  pseudonym text,
  fingerprint bytea not null,
  status text not null,
  created timestamptz not null default now(),
  expected_completion_time timestamptz not null,
  completed timestamptz,
  detail jsonb not null default '{}'
);
create index privacy_requests_open on requests.privacy_requests (status, created);
create table requests.steps (
  request_id uuid not null references requests.privacy_requests on delete cascade,
  asset_key text not null,
  step text not null,
  status text not null,
  attempts int not null default 0,
  affected bigint not null default 0,
  error text,
  updated timestamptz not null default now(),
  primary key (request_id, asset_key, step)
);
create table requests.exports (
  request_id uuid primary key references requests.privacy_requests on delete cascade,
  pseudonym text not null,
  ciphertext bytea not null,
  expires timestamptz not null
);
create table requests.tombstones (
  token bytea primary key,
  kind text not null check (kind in ('pseudonym', 'identifier')),
  erased_at timestamptz not null
);
create table audit.log (
  entry_id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  detail jsonb not null default '{}'
);
reset role;

grant usage on schema consent to selvedge_consent, selvedge_dbt, selvedge_ingest, selvedge_serving;
grant select, insert on consent.records, consent.objections to selvedge_consent;
grant usage on schema requests to selvedge_serving, selvedge_dagster;
grant select on requests.assets to selvedge_serving;
-- For the sensor that starts the job of open requests.
grant select on requests.privacy_requests to selvedge_dagster;

-- The shop's relational data, pseudonymous.
set role selvedge_ingest;
create table shop.customers (
  pseudonym text primary key,
  country text,
  age_band text,
  preferred_sizes jsonb,
  height_band text,
  body_shape text,
  signed_up_at timestamptz,
  updated_at timestamptz,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.products (
  product_id text primary key,
  name text,
  brand text,
  category text,
  sustainability_rating numeric(4, 2),
  price numeric(12, 2),
  cost numeric(12, 2),
  currency text,
  sizes jsonb,
  season_tags jsonb,
  description text,
  released_at timestamptz,
  updated_at timestamptz,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.inventory (
  product_id text not null,
  size text not null,
  quantity int,
  updated_at timestamptz,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now(),
  primary key (product_id, size)
);
create table shop.orders (
  order_id text primary key,
  pseudonym text,
  ordered_at timestamptz not null,
  status text,
  currency text,
  country text,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.order_lines (
  order_line_id text primary key,
  order_id text not null,
  pseudonym text,
  product_id text not null,
  size text,
  quantity int not null,
  unit_price numeric(12, 2),
  ordered_at timestamptz not null,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.returns (
  return_id text primary key,
  order_id text,
  order_line_id text,
  pseudonym text,
  product_id text,
  quantity int not null,
  reason text,
  returned_at timestamptz not null,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.quiz_answers (
  answer_id text primary key,
  pseudonym text not null,
  question text not null,
  answer text not null,
  answered_at timestamptz not null,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.feedback (
  feedback_id text primary key,
  pseudonym text,
  product_id text,
  size text,
  rating numeric(4, 1),
  fit text,
  text_masked text,
  given_at timestamptz not null,
  source text not null,
  source_key text not null unique,
  ingested_at timestamptz not null default now()
);
create table shop.quarantine (
  source text not null,
  table_name text not null,
  file_name text not null,
  row_number bigint not null,
  reason text not null,
  quarantined_at timestamptz not null default now(),
  primary key (source, table_name, file_name, row_number, reason)
);
create table shop.ingest_runs (
  run_id uuid primary key,
  source text not null,
  table_name text not null,
  read_rows bigint not null,
  written_rows bigint not null,
  unchanged_rows bigint not null,
  quarantined_rows bigint not null,
  tombstoned_rows bigint not null,
  started timestamptz not null,
  finished timestamptz not null
);
reset role;
grant usage on schema shop to selvedge_dbt;
grant select on all tables in schema shop to selvedge_dbt;

-- The planner's statistics would keep copies of pseudonyms in pg_statistic; equality on a key needs none.
do $$
declare c record;
begin
  for c in select table_schema, table_name from information_schema.columns
           where column_name = 'pseudonym'
             and table_schema in ('vault', 'consent', 'requests', 'shop') loop
    execute format('alter table %I.%I alter column pseudonym set statistics 0', c.table_schema, c.table_name);
  end loop;
end $$;
