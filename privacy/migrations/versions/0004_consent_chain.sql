set role selvedge_privacy;

-- What a statement says beside its decision: the language it was shown in, the policy's text, and, of an agreement that
-- ran out, when it was given. The salt keeps the commitment below from being tried out, and goes with the record.
alter table consent.records
  add column language text,
  add column policy_sha256 text check (policy_sha256 ~ '^[0-9a-f]{64}$'),
  add column agreed_at timestamptz,
  add column salt uuid not null default gen_random_uuid(),
  drop constraint records_decision_check,
  add constraint records_decision_check check (decision in ('opt_in', 'opt_out', 'expired')),
  add constraint records_expired_check check ((decision = 'expired') = (agreed_at is not null));
alter table consent.records alter column salt set statistics 0;

-- The chain: one link for each record, for good. It holds no pseudonym and stays when its record is erased.
create table consent.links (
  number bigint primary key,
  record_id bigint not null unique,
  commitment bytea not null,
  hash bytea not null
);
-- What left the ledger: one signed note for each erasure, and which records it took.
create table consent.erasures (
  reference uuid primary key,
  erased_at timestamptz not null,
  records bigint not null,
  key_id text not null,
  signature bytea not null
);
create table consent.erased (
  number bigint primary key references consent.links,
  reference uuid not null references consent.erasures
);
create index erased_reference on consent.erased (reference, number);
-- The chain's end, signed every day.
create table consent.heads (
  head_id bigint generated always as identity primary key,
  number bigint not null,
  hash bytea not null,
  signed_at timestamptz not null,
  key_id text not null,
  signature bytea not null
);

-- The canonical form, which consent/chain.py computes too: a name, then each field as its length in bytes, a colon and its
-- UTF-8, or a hyphen where it is null. Times are microseconds since 1970 in UTC.
create function consent.canonical_text(value text) returns text language sql immutable
  return coalesce(octet_length(value)::text || ':' || value, '-');
create function consent.canonical_time(value timestamptz) returns text language sql stable
  return consent.canonical_text(((extract(epoch from value) * 1000000)::bigint)::text);
create function consent.commitment(r consent.records) returns bytea language sql stable
  return sha256(uuid_send(r.salt) || convert_to('selvedge/consent-record/1'
    || consent.canonical_text(r.record_id::text) || consent.canonical_text(r.pseudonym)
    || consent.canonical_text(r.purpose) || consent.canonical_text(r.decision)
    || consent.canonical_time(r.stated_at) || consent.canonical_time(r.received_at)
    || consent.canonical_time(r.agreed_at) || consent.canonical_text(r.mechanism)
    || consent.canonical_text(r.language) || consent.canonical_text(r.policy_version)
    || consent.canonical_text(r.policy_sha256) || consent.canonical_text(r.source)
    || consent.canonical_text(r.source_key) || consent.canonical_text(r.proof::text), 'UTF8'));

-- A running hash: as a window function it chains any number of records in one statement.
create function consent.link_step(state bytea, start bytea, number bigint, record_id bigint, commitment bytea)
  returns bytea language sql immutable
  return sha256(coalesce(state, start) || int8send(number) || int8send(record_id) || commitment);
create aggregate consent.link(bytea, bigint, bigint, bytea) (sfunc = consent.link_step, stype = bytea);
create function consent.genesis() returns bytea language sql immutable
  return sha256(convert_to('selvedge/consent-chain/1', 'UTF8'));

insert into consent.links (number, record_id, commitment, hash)
select number, record_id, commitment,
  consent.link(consent.genesis(), number, record_id, commitment) over (order by number)
from (select row_number() over (order by record_id) as number, record_id, consent.commitment(r) as commitment
      from consent.records as r) as existing;

-- Whoever adds records adds their links: one writer at a time, so that the chain has no two ends.
create function consent.lock_chain() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(1398164547);
  return null;
end $$;
create function consent.chain_records() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  last_number bigint;
  last_hash bytea;
begin
  select number, hash into last_number, last_hash from consent.links order by number desc limit 1;
  insert into consent.links (number, record_id, commitment, hash)
  select chained.number, chained.record_id, chained.commitment,
    consent.link(coalesce(last_hash, consent.genesis()), chained.number, chained.record_id, chained.commitment)
      over (order by chained.number)
  from (
    select coalesce(last_number, 0) + row_number() over (order by a.record_id) as number, a.record_id,
      consent.commitment(a::consent.records) as commitment
    from added as a
  ) as chained;
  return null;
end $$;
create trigger lock_chain before insert on consent.records
  for each statement execute function consent.lock_chain();
create trigger chain_records after insert on consent.records
  referencing new table as added for each statement execute function consent.chain_records();

-- Nobody changes what was appended, the owner included; a record leaves only after its erasure was noted.
create function consent.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'consent.% is append-only: % is refused', tg_table_name, lower(tg_op)
    using errcode = 'restrict_violation';
end $$;
create function consent.refuse_removal() returns trigger language plpgsql as $$
begin
  if not exists (select from consent.links join consent.erased using (number) where record_id = old.record_id) then
    raise exception 'consent.records is append-only: a record leaves through an erasure alone'
      using errcode = 'restrict_violation';
  end if;
  return old;
end $$;
create trigger refuse_removal before delete on consent.records
  for each row execute function consent.refuse_removal();
create trigger refuse_change before update or truncate on consent.records
  for each statement execute function consent.refuse_change();
do $$
declare t text;
begin
  foreach t in array array['links', 'erasures', 'erased', 'heads'] loop
    execute format('create trigger refuse_change before update or delete or truncate on consent.%I '
                   'for each statement execute function consent.refuse_change()', t);
  end loop;
end $$;

-- The application says what was stated; when it was received, its number and its salt are the database's.
revoke insert on consent.records from selvedge_consent;
grant insert (pseudonym, purpose, decision, stated_at, mechanism, policy_version, source, source_key, proof, language,
              policy_sha256, agreed_at) on consent.records to selvedge_consent;
grant select on consent.links, consent.erasures, consent.erased, consent.heads to selvedge_consent;

-- An agreement that ran out is a refusal, unless it was renewed before it did (a renewal may arrive late).
create or replace view consent.intervals as
with told as (
  select pseudonym, purpose, stated_at, decision, agreed_at,
    max(stated_at) filter (where decision = 'opt_in') over (partition by pseudonym, purpose order by stated_at) as renewed_at
  from consent.records
), statements as (
  select pseudonym, purpose, stated_at, bool_and(decision = 'opt_in') as agreed
  from told
  where (decision = 'expired' and renewed_at > agreed_at) is not true
  group by pseudonym, purpose, stated_at
), changes as (
  select *, lag(agreed) over statement_order is distinct from agreed as changed
  from statements
  window statement_order as (partition by pseudonym, purpose order by stated_at)
), periods as (
  select pseudonym, purpose, agreed, stated_at as valid_from, lead(stated_at) over statement_order as valid_to,
    last_value(agreed) over (statement_order rows between unbounded preceding and unbounded following) as agreed_now
  from changes
  where changed
  window statement_order as (partition by pseudonym, purpose order by stated_at)
)
select pseudonym, purpose, valid_from, valid_to, agreed_now from periods where agreed;
reset role;
