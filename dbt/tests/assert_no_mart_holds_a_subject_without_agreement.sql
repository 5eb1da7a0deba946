-- Whatever a filter upstream did: nobody is in a mart who does not agree to analytics. Who withdrew since this build began leaves
-- at the next one.
with subjects as (
    select pseudonym from {{ ref('dim_customers') }}
    union
    select pseudonym from {{ ref('fct_orders') }}
    union
    select pseudonym from {{ ref('fct_order_lines') }}
)

select count(*) as subjects
from subjects
where not exists (
    select 1
    from {{ source('consent', 'intervals') }} as agreement
    where agreement.pseudonym = subjects.pseudonym
        and agreement.purpose = 'analytics'
        and (agreement.agreed_now or agreement.valid_to >= timestamptz '{{ run_started_at }}')
)
having count(*) > 0
