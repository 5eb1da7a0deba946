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
from {{ source('shop', 'returns') }} as returns
where {{ not_withheld('returns') }}
