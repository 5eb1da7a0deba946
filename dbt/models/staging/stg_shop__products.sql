select
    product_id,
    name,
    brand,
    category,
    sustainability_rating,
    price,
    cost,
    currency,
    {{ text_list('sizes') }} as sizes,
    {{ text_list('season_tags') }} as season_tags,
    description,
    released_at,
    updated_at,
    source
from {{ source('shop', 'products') }}
