-- Whoever joins prices by time would count the product twice.
with periods as (
    select
        product_id,
        valid_from,
        lag(coalesce(valid_to, 'infinity')) over (partition by product_id order by valid_from) as ended_before
    from {{ ref('dim_product_prices') }}
)

select product_id
from periods
where ended_before > valid_from
