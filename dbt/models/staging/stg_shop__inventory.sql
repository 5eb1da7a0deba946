select
    product_id,
    size,
    quantity,
    updated_at,
    source
from {{ source('shop', 'inventory') }}
