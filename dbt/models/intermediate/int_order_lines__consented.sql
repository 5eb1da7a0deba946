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
from {{ ref('stg_shop__order_lines') }} as lines
where {{ serves('lines', 'analytics', 'ordered_at') }}
    and {{ retained('lines') }}
