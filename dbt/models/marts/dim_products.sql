with stock as (
    -- A size whose quantity is unknown says nothing; a product with none known has an unknown stock, not an empty one.
    select
        product_id,
        array_agg(size order by size) filter (where quantity > 0) as in_stock_sizes,
        count(quantity) as known_sizes,
        case when count(*) = count(quantity) then sum(quantity)::bigint end as units_in_stock,
        max(updated_at) as updated_at
    from {{ ref('stg_shop__inventory') }}
    group by product_id
)

select
    products.product_id,
    products.name,
    products.brand,
    products.category,
    products.sustainability_rating,
    products.price,
    products.cost,
    products.currency,
    products.sizes,
    case when stock.known_sizes > 0 then coalesce(stock.in_stock_sizes, '{}'::text[]) end as in_stock_sizes,
    stock.units_in_stock,
    products.season_tags,
    products.description,
    products.released_at,
    greatest(products.updated_at, stock.updated_at) as event_timestamp,
    current_timestamp as created,
    products.source
from {{ ref('stg_shop__products') }} as products
left join stock on products.product_id = stock.product_id
