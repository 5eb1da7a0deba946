with returned as (
    select
        order_line_id,
        sum(quantity)::bigint as returned_quantity
    from {{ ref('int_returns__consented') }}
    where order_line_id is not null
    group by order_line_id
)

select
    lines.order_line_id,
    lines.order_id,
    lines.pseudonym,
    lines.product_id,
    lines.size,
    lines.quantity,
    lines.unit_price,
    -- Null where the price is unknown.
    lines.quantity * lines.unit_price as line_total,
    returned.returned_quantity,
    lines.ordered_at,
    (lines.ordered_at at time zone 'UTC')::date as order_date,
    lines.source
from {{ ref('int_order_lines__consented') }} as lines
left join returned on lines.order_line_id = returned.order_line_id
where {{ not_withheld('lines') }}
