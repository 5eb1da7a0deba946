with orders as (
    select
        pseudonym,
        count(*) as orders,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at
    from {{ ref('int_orders__consented') }}
    group by pseudonym
)

select
    customers.pseudonym,
    customers.country,
    customers.age_band,
    customers.preferred_sizes,
    customers.signed_up_at,
    coalesce(orders.orders, 0) as consented_orders,
    orders.first_ordered_at,
    orders.last_ordered_at,
    customers.source
from {{ ref('int_customers__consented') }} as customers
left join orders on customers.pseudonym = orders.pseudonym
where {{ not_withheld('customers') }}
