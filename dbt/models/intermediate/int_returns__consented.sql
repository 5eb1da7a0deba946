select
    returns.return_id,
    returns.order_id,
    returns.order_line_id,
    returns.pseudonym,
    returns.product_id,
    returns.quantity,
    returns.reason,
    returns.returned_at,
    returns.source
from {{ ref('stg_shop__returns') }} as returns
where {{ serves('returns', 'analytics', 'returned_at') }}
    and {{ retained('returns') }}
