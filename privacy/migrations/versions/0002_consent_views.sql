set role selvedge_privacy;

-- When each subject agreed to each purpose: from the first agreement (included) to the refusal that ended it
-- (excluded; null: still agreed to). The order is that of the statements, however late they arrived; of two at the
-- same time, the refusal wins. `agreed_now` says of every interval whether its subject still agrees to its purpose.
create view consent.intervals as
with statements as (
  select pseudonym, purpose, stated_at, bool_and(decision = 'opt_in') as agreed
  from consent.records
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

create view consent.current as
select pseudonym, purpose, valid_from as agreed_since from consent.intervals where valid_to is null;

-- Who is left out of which asset: the last thing they said about it was an objection.
create view consent.withheld as
select pseudonym, asset_key, stated_at as withheld_since
from (
  select distinct on (pseudonym, asset_key) pseudonym, asset_key, decision, stated_at
  from consent.objections
  order by pseudonym, asset_key, objection_id desc
) as latest
where decision = 'object';

grant select on consent.intervals, consent.current, consent.withheld
  to selvedge_consent, selvedge_dbt, selvedge_ingest, selvedge_serving;
reset role;
