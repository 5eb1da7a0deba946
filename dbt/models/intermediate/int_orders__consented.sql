select
    orders.order_id,
    orders.pseudonym,
    orders.ordered_at,
    orders.status,
    orders.currency,
    orders.country,
    orders.source
from {{ ref('stg_shop__orders') }} as orders
where {{ serves('orders', 'analytics', 'ordered_at') }}
    and {{ retained('orders') }}
