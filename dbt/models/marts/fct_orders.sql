with lines as (
    select
        order_id,
        count(*) as lines,
        sum(quantity)::bigint as items,
        -- One unknown price makes the sum unknown.
        case when count(*) = count(unit_price) then sum(quantity * unit_price) end as total
    from {{ ref('int_order_lines__consented') }}
    group by order_id
)

select
    orders.order_id,
    orders.pseudonym,
    orders.ordered_at,
    (orders.ordered_at at time zone 'UTC')::date as order_date,
    orders.status,
    orders.currency,
    orders.country,
    lines.lines,
    lines.items,
    lines.total,
    orders.source
from {{ ref('int_orders__consented') }} as orders
left join lines on orders.order_id = lines.order_id
where {{ not_withheld('orders') }}
