set role selvedge_privacy;

-- What a rectification asks to change, as a keyed hash: the same correction made again is the same request.
alter table requests.privacy_requests add column content bytea;

-- A caller's key for a request that may be sent twice, and the body it came with; keyed hashes both.
create table requests.idempotency_keys (
  key bytea primary key,
  body bytea not null,
  request_id uuid not null references requests.privacy_requests on delete cascade,
  created timestamptz not null default now()
);

-- Nonces of requesters' tokens, as keyed hashes, until the tokens expire: each is good for one use.
create table requests.used_tokens (
  nonce bytea primary key,
  uses int not null default 1,
  expires timestamptz not null
);

-- What subjects corrected, each value under its subject's data key: it wins over source rows older than the correction.
create table requests.rectifications (
  pseudonym text not null,
  asset_key text not null,
  row_key text not null default '',
  field text not null,
  ciphertext bytea not null,
  rectified_at timestamptz not null,
  primary key (pseudonym, asset_key, row_key, field)
);
alter table requests.rectifications alter column pseudonym set statistics 0;

-- A restriction (Art. 18) is an objection to every asset, '*': the data is kept, and used for nothing.
create view consent.restricted as
select pseudonym, withheld_since as restricted_since from consent.withheld where asset_key = '*';
grant select on consent.restricted to selvedge_consent, selvedge_dbt, selvedge_ingest, selvedge_serving;

-- What was made of a subject's data before this time may be wrong: it does not come online any more.
create view consent.corrected as
select pseudonym, max(rectified_at) as corrected_at from requests.rectifications group by pseudonym;
grant select on consent.corrected to selvedge_consent;

-- For the sensor that starts the job which deletes expired exports.
grant select (expires) on requests.exports to selvedge_dagster;
reset role;
