select
    lines.order_line_id,
    lines.order_id,
    lines.pseudonym,
    lines.product_id,
    lines.size,
    lines.quantity,
    lines.unit_price,
    lines.ordered_at,
    lines.source
from {{ source('shop', 'order_lines') }} as lines
where {{ not_withheld('lines') }}
