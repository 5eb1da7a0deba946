-- Unknown is not zero: a sum over an unknown price is unknown.
select lines.order_id
from {{ ref('fct_order_lines') }} as lines
inner join {{ ref('fct_orders') }} as orders on lines.order_id = orders.order_id
where lines.unit_price is null
    and (lines.line_total is not null or orders.total is not null)
