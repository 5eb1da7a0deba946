-- The periods of one price: states of a product that follow each other with the same price are one period.
with states as (
    select
        product_id,
        price,
        currency,
        valid_from,
        valid_to,
        lag(price) over by_time as price_before,
        lag(currency) over by_time as currency_before,
        lag(valid_to) over by_time as ended_before
    from {{ ref('product_history') }}
    -- A state that another replaced at the moment of its beginning was never the shop's.
    where valid_to is null or valid_from < valid_to
    window by_time as (partition by product_id order by valid_from)
),

numbered as (
    select
        *,
        count(*) filter (
            where price is distinct from price_before
                or currency is distinct from currency_before
                or ended_before is distinct from valid_from
        ) over (partition by product_id order by valid_from) as period
    from states
)

select
    product_id,
    price,
    currency,
    min(valid_from) as valid_from,
    case when count(*) = count(valid_to) then max(valid_to) end as valid_to
from numbered
group by product_id, period, price, currency
