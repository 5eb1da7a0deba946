select
    orders.order_id,
    orders.pseudonym,
    orders.ordered_at,
    orders.status,
    orders.currency,
    orders.country,
    orders.source
from {{ source('shop', 'orders') }} as orders
where {{ not_withheld('orders') }}
