set role selvedge_privacy;

-- Who was below the age of digital consent when they came: the day on which they reach it (from its beginning, UTC).
create table consent.minors (
  pseudonym text primary key,
  minor_until date not null,
  recorded_at timestamptz not null default clock_timestamp()
);
alter table consent.minors alter column pseudonym set statistics 0;
grant select, insert, update, delete on consent.minors to selvedge_consent;

-- The statements that count. A refusal always does, whoever states it. Below the age of digital consent an agreement counts
-- if a guardian states it, from that day on if the subject does. A statement was made before it was received, whatever its
-- clock said.
create view consent.counted as
select r.*
from consent.records as r
left join consent.minors as m on m.pseudonym = r.pseudonym
where r.decision <> 'opt_in'
  or (r.mechanism = 'guardian' or starts_with(r.mechanism, 'guardian_'))
    = coalesce(least(r.stated_at, r.received_at) < m.minor_until::timestamp at time zone 'UTC', false);

-- The intervals as they are defined, over the statements that count.
do $$
begin
  execute 'create or replace view consent.intervals as '
    || replace(pg_get_viewdef('consent.intervals'::regclass), 'consent.records', 'consent.counted records');
end $$;

-- The newest version of each trained model: what it was trained for (the first purpose) and is used for, and when it had
-- read the ledger.
create table consent.trained_models (
  asset_key text primary key,
  version text not null,
  purposes text[] not null check (cardinality(purposes) > 0),
  trained_at timestamptz not null
);
-- Subjects whom a model used and who have left since: its next training is without them.
create table consent.models_due (
  asset_key text not null references consent.trained_models on delete cascade,
  pseudonym text not null,
  since timestamptz not null default clock_timestamp(),
  primary key (asset_key, pseudonym)
);
create index models_due_subject on consent.models_due (pseudonym);
alter table consent.models_due alter column pseudonym set statistics 0;
grant select, insert, update on consent.trained_models to selvedge_consent;
grant select, insert, delete on consent.models_due to selvedge_consent;

-- Mark the models that used these subjects and may not any more. One subject at a time: each is looked up by index.
create function consent.mark_models_due(subjects text[]) returns bigint language plpgsql as $$
declare
  subject text;
  added bigint;
  total bigint := 0;
begin
  if not exists (select from consent.trained_models) then
    return 0;
  end if;
  foreach subject in array subjects loop
    insert into consent.models_due (asset_key, pseudonym)
    select m.asset_key, subject
    from consent.trained_models as m
    where (
        select r.decision = 'opt_in' from consent.records as r
        where r.pseudonym = subject and r.purpose = m.purposes[1]
          and r.stated_at <= m.trained_at and r.received_at <= m.trained_at
        order by r.stated_at desc, r.decision = 'opt_in' limit 1
      )
      and (
        m.purposes <@ array(select purpose from consent.current where pseudonym = subject) is not true
        or exists (
          select from consent.withheld as w where w.pseudonym = subject and w.asset_key in (m.asset_key, '*')
        )
      )
    on conflict do nothing;
    get diagnostics added = row_count;
    total := total + added;
  end loop;
  return total;
end $$;

-- Whichever way a refusal or an objection comes in, it marks the models.
create function consent.mark_after_refusal() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  perform consent.mark_models_due(array(select distinct pseudonym from added where decision <> 'opt_in'));
  return null;
end $$;
create function consent.mark_after_objection() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  perform consent.mark_models_due(array(
    select distinct a.pseudonym from added as a
    where a.decision = 'object' and (a.asset_key = '*' or a.asset_key in (select asset_key from consent.trained_models))
  ));
  return null;
end $$;
create trigger mark_models_due after insert on consent.records
  referencing new table as added for each statement execute function consent.mark_after_refusal();
create trigger mark_models_due after insert on consent.objections
  referencing new table as added for each statement execute function consent.mark_after_objection();
reset role;
