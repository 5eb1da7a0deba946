-- A customer is a state, not an event: it serves while the ledger's last word is an agreement.
with customers as (
    select
        *,
        'infinity'::timestamptz as now
    from {{ ref('stg_shop__customers') }}
)

select
    customers.pseudonym,
    customers.country,
    customers.age_band,
    customers.preferred_sizes,
    customers.signed_up_at,
    customers.source
from customers
where {{ serves('customers', 'analytics', 'now') }}
