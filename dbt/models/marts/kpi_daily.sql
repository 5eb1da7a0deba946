-- A figure stands for {{ smallest_group() }} people or more, or it is null. Buyers and returners of a day are two groups.
with lines as (
    select
        order_id,
        sum(quantity)::bigint as items,
        count(*) filter (where unit_price is null) as lines_without_price,
        sum(quantity * unit_price) as priced
    from {{ ref('int_order_lines__consented') }}
    group by order_id
),

ordered as (
    select
        (orders.ordered_at at time zone 'UTC')::date as day,
        count(*) as orders,
        count(distinct orders.pseudonym) as customers,
        sum(lines.items)::bigint as items,
        -- Known only where every line has a price and all are in one currency.
        case
            when count(*) = count(lines.order_id)
                and sum(lines.lines_without_price) = 0
                and count(distinct coalesce(orders.currency, '')) = 1
                then sum(lines.priced)
        end as revenue,
        case when count(distinct coalesce(orders.currency, '')) = 1 then max(orders.currency) end as currency
    from {{ ref('int_orders__consented') }} as orders
    left join lines on orders.order_id = lines.order_id
    group by 1
),

returned as (
    select
        (returned_at at time zone 'UTC')::date as day,
        count(*) as returns,
        count(distinct pseudonym) as customers,
        sum(quantity)::bigint as items
    from {{ ref('int_returns__consented') }}
    group by 1
)

select
    coalesce(ordered.day, returned.day) as day,
    case when ordered.customers >= {{ smallest_group() }} then ordered.customers end as customers,
    case when ordered.customers >= {{ smallest_group() }} then ordered.orders end as orders,
    case when ordered.customers >= {{ smallest_group() }} then ordered.items end as items,
    case when ordered.customers >= {{ smallest_group() }} then ordered.revenue end as revenue,
    case when ordered.customers >= {{ smallest_group() }} then ordered.currency end as currency,
    -- Rounded, since nobody adds averages; revenue is added, so that it stays exact.
    case
        when ordered.customers >= {{ smallest_group() }} then round(ordered.revenue / ordered.orders, 2)
    end as average_order_value,
    case when returned.customers >= {{ smallest_group() }} then returned.customers end as returning_customers,
    case when returned.customers >= {{ smallest_group() }} then returned.returns end as returns,
    case when returned.customers >= {{ smallest_group() }} then returned.items end as returned_items
from ordered
full outer join returned on ordered.day = returned.day
